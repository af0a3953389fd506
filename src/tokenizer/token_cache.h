// Token ids on disk, so that a corpus is tokenised once for all models that share a tokenizer.
//
// A cache is a file of texts' tokens, found by the XXH3-128 of the text. Nothing else decides what a text's tokens are:
// a text that changed is another text, and is encoded. File (little-endian; docs/formats.md has the fields):
//
//   header | the entries' payloads | index, sorted by hash
//
// with a checksum over each part. An entry that is damaged counts as absent, a file that is torn or another one's as
// empty; what is missing is encoded again, and commit() writes a whole new file beside the old and renames it. So
// writers need no lock: the last one wins, with what was there when it committed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "src/core/atomic_file.h"
#include "src/core/hash_value.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {

// What encode() gave for a text: tokens, or the Error(kData) that it threw.
struct CachedText {
  Tokens tokens;
  bool failed = false;
  std::string what, hint;  // of the failure

  bool equals(const CachedText& other) const;
};

// An entry's payload, and back; nullopt for what pack_text never made. `vocab_size` decides the width of an id.
std::string pack_text(const CachedText& text, std::int64_t vocab_size);
std::optional<CachedText> unpack_text(std::string_view payload, std::int64_t vocab_size, std::size_t n_text_bytes);

// Reads the bytes of a cache file; they must outlive it. Any bytes are taken, and no field is believed before its sum.
class TokenFile {
 public:
  TokenFile() = default;  // an empty one
  TokenFile(std::string_view bytes, Hash128 key);

  struct Entry {
    Hash128 text;
    std::uint64_t n_text_bytes, offset, n_bytes, sum;
  };

  bool sound() const { return sound_; }  // header and index are whole, and of this key
  std::size_t size() const { return n_entries_; }
  Entry entry(std::size_t i) const;
  std::optional<std::size_t> find(Hash128 text) const;
  // nullopt where the payload is damaged.
  std::optional<std::string_view> payload(const Entry& entry) const;

 private:
  std::string_view bytes_;
  std::size_t n_entries_ = 0, index_ = 0;
  bool sound_ = false;
};

// Not thread-safe.
class TokenCache {
 public:
  // Uses and makes FOLDER/CORPUS-TOKENIZER.tokens. Never fails: without a usable file it is empty, and where the folder
  // cannot be written it does nothing but count; problem() says so. `tokenizer` must outlive it.
  TokenCache(const std::filesystem::path& folder, const Tokenizer& tokenizer, const std::string& corpus_fingerprint);
  ~TokenCache();

  // Tokenizer::encode(text), from the file where it has the text. The first texts found (64 KiB; of a longer text its
  // first 4 KiB) are encoded all the same and compared: a cache that another version of the tokenizer wrote is not used.
  Tokens encode(std::string_view text);

  // Writes what was encoded since; with that and what other processes wrote meanwhile the file is whole. Never throws.
  void commit();

  const std::filesystem::path& path() const { return path_; }
  std::int64_t n_found() const { return n_found_; }      // texts whose tokens came from the file
  std::int64_t n_encoded() const { return n_encoded_; }  // texts that had to be encoded
  const std::string& problem() const { return problem_; }

 private:
  void open();
  std::optional<CachedText> read(Hash128 hash, std::string_view text);     // nullopt: not there, or damaged
  std::optional<CachedText> look_up(Hash128 hash, std::string_view text);  // and trusted
  CachedText encode_now(std::string_view text) const;
  void keep(Hash128 hash, std::string_view text, const CachedText& encoded);
  void give_up(const std::exception& error);

  const Tokenizer& tokenizer_;
  std::int64_t vocab_size_;
  Hash128 key_;
  std::filesystem::path path_;
  std::unique_ptr<MappedFile> mapped_;
  TokenFile file_;
  std::unique_ptr<AtomicFile> out_;  // from the first text that is not in the file
  std::vector<TokenFile::Entry> kept_;
  std::unordered_set<std::uint64_t> seen_;  // their hashes: a text that comes twice is kept once
  std::int64_t n_found_ = 0, n_encoded_ = 0, n_compared_bytes_ = 0;
  bool enabled_ = true, rebuild_ = false;
  std::string problem_;
};

}  // namespace lmbits
