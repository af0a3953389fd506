// Streams a corpus, one document at a time: memory is O(largest document), not O(corpus).
//
// What a document is, by the kind of source (any of them also as .gz or .zst, decompressed as it is read):
//   a text file      the file; its id is the file's name.
//   a folder         each regular file below it, in the byte order of relative paths, which are the ids. Links to files
//                    are followed, links to folders are not. Files are text, whatever they are called.
//   .pgm, .ppm,      the samples of a picture, a sound or a video in the order of media.h, without headers. In a folder these
//   .wav, .y4m       are files like others; a pattern names them one by one.
//   .jsonl, .ndjson  the string under `field` ("a.b.c": find_field) of each line's object. The id is the line's "id" where
//                    that is an integer or a non-empty string, else "line-N", N counting from 1. The second "x" is "x~2",
//                    and so on. Lines of white space alone are skipped.
//   a pattern        the files it matches, in byte order, each as above; ids are what the file's own documents would have,
//                    behind its path below the pattern's fixed part and, for JSONL, a colon.
//   corpus.json      the files of its sources, likewise; paths as the manifest has them.
// `split` cuts each of these further (src/corpus/splitter.h); the pieces of "x" are "x#000000", "x#000001", ...
//
// Bytes of text are never touched: a byte order mark, "\r\n", NUL bytes and invalid UTF-8 are part of the document. (A mark
// before a JSONL line is the file's, not the text's.) Code points of invalid UTF-8 are counted as in utf8.h. Empty
// files and empty texts are documents of no bytes. A text document of any size is read into one buffer; a JSONL line
// takes up to four times its size while it is parsed.
//
// What fails: a file among several that cannot be read or decompressed, and a JSONL line that is invalid UTF-8, not JSON
// (an unpaired \uD800 included), or has no string under `field`, is a Document with `error` set, and reading goes on.
// A corpus that is one file cannot go on: next() throws Error(kData) where that is unreadable, truncated or corrupt.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/corpus/document.h"

namespace lmbits {

struct CorpusSpec {
  std::string path;            // a text file, a folder, JSONL (also as .gz or .zst), a pattern, or a corpus.json
  std::string name;            // empty: corpus_name() makes one
  std::string field = "text";  // JSONL: the key that holds the text
  std::string split = "none";  // none | paragraphs | lines | a number of BYTES: cuts each source into documents
  std::string sample = {};     // src/corpus/sample.h; empty: all, or what the corpus.json says
  std::uint64_t sample_seed = 1;
  // Once set, what open_corpus yields: with_sample_drawn sets it.
  std::shared_ptr<const std::vector<Document>> drawn = {};
  std::string patch = "32x64";  // pictures and video: src/corpus/media.h
};

// "NAME=PATH", "PATH". What stands before the first "=" is no name if it holds a "/": "./a=b.txt" is a path. The name
// is filled in by corpus_name(). Error(kUsage) for an empty name or path.
CorpusSpec parse_corpus_spec(const std::string& text);

// `spec.name`, else the manifest's, else the path's stem without .gz/.zst: "held/prose.txt.gz" is "prose", the folder
// "v1.0/" "v1.0". Of a pattern the last part of its fixed beginning: "web/*.jsonl" is "web".
std::string corpus_name(const CorpusSpec& spec);

// Does `path` name several files: does it hold one of * ? [ { and name no file itself? As the shell's, {a,b} included.
bool is_pattern(const std::string& path);

class CorpusReader {
 public:
  virtual ~CorpusReader() = default;
  virtual std::optional<Document> next() = 0;  // nullopt at the end
};

// Throws Error(kData) where the path cannot be opened or is neither a file nor a folder with files, or a pattern matches
// none; Error(kConfig) for a bad `split`, `sample` or manifest; Error(kUnsupported) for Parquet.
std::unique_ptr<CorpusReader> open_corpus(const CorpusSpec& spec);

// The corpus with its sample in memory, so that it is not drawn again each time it is opened; `spec` where it has none.
CorpusSpec with_sample_drawn(const CorpusSpec& spec);

// Identifies what `open_corpus(spec)` would yield: XXH3-128 of the sources' raw bytes, their relative names, the field,
// the split, the sample and what else a manifest says of reading, as 32 hex digits. Reads everything once. A file in a
// folder that cannot be read counts as such.
std::string corpus_fingerprint(const CorpusSpec& spec);

// Bytes of source text, for progress and ETA; nullopt where a compressed file is corrupt. Text: the files' sizes. What is
// compressed, JSONL, samples and filtered sources are read once: far faster than any model scores them.
std::optional<std::int64_t> corpus_size_bytes(const CorpusSpec& spec);

// What is to be written down of a corpus besides its fingerprint; licence and description from its corpus.json.
struct CorpusNotes {
  std::string licence, description;
  std::string sample;  // also where the spec asks for it; empty: all
  std::uint64_t sample_seed = 1;
  std::vector<std::string> categories;  // of its sources
};
CorpusNotes corpus_notes(const CorpusSpec& spec);

}  // namespace lmbits
