// A random part of a corpus, by whole documents.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "src/corpus/reader.h"

namespace lmbits {

struct SampleSize {
  enum class Unit { kDocuments, kBytes, kChars };
  Unit unit = Unit::kDocuments;
  std::int64_t n = 0;
};

// "3M chars", "500 docs", "1.5MB": a number, maybe K, M or G (powers of 1000), and docs, bytes (B) or chars. Error(kConfig)
// for anything else.
SampleSize parse_sample(const std::string& text);

// Documents in the order of XXH3-64(bytes, seed), as few as reach `size` (all where the corpus is smaller), given back in
// the corpus' order. So the choice depends on seed and texts alone, not on file names, ids or the order of files; a larger
// sample holds the smaller one, and equal texts go together. The document that crosses the line is in: leaving it out
// would prefer short ones. Documents that failed count nothing, and are in the sample with their id's hash. Reads the
// corpus once; memory is O(sample).
std::vector<Document> draw_sample(CorpusReader& corpus, SampleSize size, std::uint64_t seed);

}  // namespace lmbits
