// What classical compressors need for a text: the scale beside a language model's bits.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/json_fwd.h"

namespace lmbits {

class CodecCounter;
class ZstdDictionary;

// A compressor at one setting. Sizes count the whole file the tool of that name would write, headers and trailers
// included: gzip's 18 bytes (without a file name, time 0), .xz with CRC-64, .bz2, zstd frames of unknown content size
// without a checksum (the library's default), brotli streams of a 16 MiB window (RFC 7932).
struct BaselineCodec {
  enum class Family { kGzip, kBzip2, kZstd, kXz, kBrotli, kZstdLong, kContextMixing };
  std::string name;  // "gzip-9": the key in records and summaries
  Family family;
  int level;
  std::shared_ptr<const ZstdDictionary> dictionary;  // zstd only; null: none
};

// gzip-1 gzip-6 gzip-9 bzip2-9 zstd-3 zstd-19 xz-6 xz-9e brotli-11: from fast to slow.
const std::vector<BaselineCodec>& baseline_codecs();

// zstd-22-long (zstd --ultra -22 --long=31) and cm (context_mixing.h): the strongest, for those who name them. They hold a
// text until its end, and take about a gigabyte (zstd) or 0.15 (cm) beside it.
const std::vector<BaselineCodec>& strong_codecs();

// "zstd-22-dict": level 22 with `dictionary` as text that it has seen before (any bytes; their number is not counted in
// sizes). Its window holds the dictionary and the last 128 MiB of text or more, 2 GiB at most. Indexing the dictionary
// takes about half a second a megabyte, once; the index and each compressor that uses it take about 27 bytes of memory
// a byte of it. Throws Error(kData) for an empty one.
BaselineCodec zstd_dictionary_codec(std::string_view dictionary);

// The codecs of these names; a family's name ("xz") stands for all of its settings, no names for all of
// baseline_codecs(). Throws
// Error(kUsage) for an unknown one, with the nearest known.
std::vector<BaselineCodec> select_codecs(const std::vector<std::string>& names);

// Takes a text in pieces and gives what is compressed of it to a sink, in pieces. Memory is the codec's window and
// tables, whatever the text's size. The output does not depend on how the text is cut.
class Compressor {
 public:
  using Sink = std::function<void(std::string_view)>;
  virtual ~Compressor() = default;
  // Optional, before a text: it will be no longer than this. Saves xz the tables for what will not come; of no effect
  // on sizes.
  virtual void expect(std::int64_t /*max_bytes*/) {}
  virtual void add(std::string_view bytes) = 0;
  virtual void finish() = 0;  // the end of the text; what is added next begins another one
};

std::unique_ptr<Compressor> make_compressor(const BaselineCodec& codec, Compressor::Sink sink);

// Bytes that `codec` needs for `bytes`.
std::int64_t compressed_size(const BaselineCodec& codec, std::string_view bytes);

// Compressed bytes of single documents. Holds each codec's tables between documents: one object a thread.
class DocumentBaselines {
 public:
  explicit DocumentBaselines(const std::vector<BaselineCodec>& codecs);
  ~DocumentBaselines();
  DocumentBaselines(DocumentBaselines&&) noexcept;

  std::map<std::string, std::int64_t> sizes(std::string_view document);  // {"gzip-9": 1234, ...}
  std::map<std::string, double> cpu_seconds() const;                     // spent so far, by codec

 private:
  std::vector<std::unique_ptr<CodecCounter>> counters_;
};

// Sums of the compressed bytes of a corpus' documents, each by itself. Streams: holds about 1 MiB of documents.
class PerDocumentBaselines {
 public:
  // As for WholeCorpusBaselines; memory is that of the codecs for each thread.
  explicit PerDocumentBaselines(const std::vector<BaselineCodec>& codecs, int n_threads = 1);
  ~PerDocumentBaselines();

  void add(std::string document);
  std::map<std::string, std::int64_t> finish();       // {"gzip-9": 1234, ...}; once
  std::map<std::string, double> cpu_seconds() const;  // spent so far, by codec

 private:
  struct Lane;
  void flush();
  std::vector<Lane> lanes_;
  std::vector<std::string> pending_;
  std::size_t n_pending_bytes_ = 0;
  int n_threads_;
};

// Compressed bytes of a whole corpus as one stream: its documents, one after the other, nothing between them. Streams:
// memory is that of the codecs (all together about 1 GiB on a large corpus, of which xz-9e has 0.7) and 1 MiB of text.
class WholeCorpusBaselines {
 public:
  // Codecs run beside each other on up to `n_threads` threads (0: all); the sizes do not depend on it.
  explicit WholeCorpusBaselines(const std::vector<BaselineCodec>& codecs, int n_threads = 1);
  ~WholeCorpusBaselines();

  void add(std::string_view document);
  std::map<std::string, std::int64_t> finish();       // {"gzip-9": 1234, ...}; once
  std::map<std::string, double> cpu_seconds() const;  // spent so far, by codec

 private:
  void flush();
  std::vector<std::unique_ptr<CodecCounter>> counters_;
  std::string pending_;
  int n_threads_;
};

// Versions of the libraries in use, as they report them when run (sizes depend on them):
// {"zlib": "1.3.1", "bzip2": ..., "zstd": ..., "liblzma": ..., "brotli": ...}.
Json codec_versions();

}  // namespace lmbits
