// Streams a corpus, one document at a time: memory is O(largest document), not O(corpus).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "src/corpus/document.h"

namespace lmbits {

struct CorpusSpec {
  std::string path;            // a text file, a folder (each regular file a document, sorted by relative path), or
                               // JSONL (.jsonl, .ndjson); any of them also as .gz or .zst
  std::string name;            // empty: the path's stem without .gz/.zst
  std::string field = "text";  // JSONL: the key that holds the text; "id" (string or integer) is the id if present
  std::string split = "none";  // none | paragraphs | lines | a number of BYTES: cuts each source into documents
};

// "NAME=PATH", "PATH".
CorpusSpec parse_corpus_spec(const std::string& text);

class CorpusReader {
 public:
  virtual ~CorpusReader() = default;
  virtual std::optional<Document> next() = 0;  // nullopt at the end
};

// Throws Error(kData) where the path cannot be opened or is of no known kind, Error(kConfig) for a bad `split`.
std::unique_ptr<CorpusReader> open_corpus(const CorpusSpec& spec);

// Identifies what `open_corpus(spec)` would yield: XXH3-128 of the sources' raw bytes, their relative names, the field
// and the split, as 32 hex digits. Reads everything once.
std::string corpus_fingerprint(const CorpusSpec& spec);

// Bytes of source text, for progress and ETA; nullopt where it is unknown without decompressing.
std::optional<std::int64_t> corpus_size_bytes(const CorpusSpec& spec);

}  // namespace lmbits
