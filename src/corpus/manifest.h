// corpus.json: what files a corpus is made of, and how they are read (docs/formats.md).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json.h"
#include "src/corpus/document.h"

namespace lmbits {

// Documents that do not meet all of it are left out. Sizes are of documents after splitting.
struct CorpusFilters {
  std::optional<std::int64_t> min_bytes, max_bytes, min_chars, max_chars;
  bool valid_utf8 = false;      // leaves out what is not
  Json where = Json::object();  // JSONL: field -> a value, a list of values, or {"min": x, "max": y}

  bool keeps(const Document& document) const;             // sizes and encoding; a document that failed is kept
  bool keeps_record(const nlohmann::json& record) const;  // `where`
};

// Files that are read alike. A value that a source does not give is the corpus'.
struct CorpusSource {
  std::string path;  // a file, a folder or a pattern (is_pattern), relative to the manifest's folder
  std::string field = "text", split = "none";
  std::string patch = "32x64";  // of pictures and video
  std::string category;         // of all its documents
  std::string category_field;   // JSONL: the field that holds each document's
  std::string licence;
  CorpusFilters filters;
};

struct CorpusManifest {
  std::string name, licence, description;
  std::string sample;  // see parse_sample; empty: all
  std::uint64_t sample_seed = 1;
  std::vector<CorpusSource> sources;
};

// "corpus.json", "NAME.corpus.json".
bool is_corpus_manifest(const std::string& path);

// Throws Error(kData) where the file cannot be read or is no JSON, Error(kConfig) naming the key that is unknown, missing
// or of the wrong type. Sources begin with the field and split of `defaults`.
CorpusManifest read_corpus_manifest(const std::string& path, const CorpusSource& defaults);

// The value under "a.b.c": the key of that name itself, else member c of b of a; numbers are places in arrays. nullptr
// where there is none.
const nlohmann::json* find_field(const nlohmann::json& record, const std::string& field);
nlohmann::json* find_field(nlohmann::json& record, const std::string& field);

}  // namespace lmbits
