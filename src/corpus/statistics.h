// What a corpus is made of: counts and sizes, overall and by category.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/core/progress.h"
#include "src/corpus/reader.h"

namespace lmbits {

struct CorpusStatistics {
  std::int64_t n_documents = 0, n_failed = 0, n_empty = 0;
  std::int64_t n_bytes = 0, n_chars = 0, n_words = 0;  // words as in ngrams.h
  std::int64_t n_invalid = 0;                          // documents that are not UTF-8
  std::vector<std::int64_t> sizes;                     // of the documents in bytes, ascending

  // The smallest size that a share q of the documents does not exceed; 0 where there are none.
  std::int64_t size_quantile(double q) const;
};

struct CorpusSummary {
  CorpusStatistics all;
  std::map<std::string, CorpusStatistics> categories;  // of documents that have one
  std::vector<std::string> failures;                   // the first few: id and reason
};

// Memory: 8 bytes a document (16 with categories), and the documents of a few MiB at a time.
CorpusSummary corpus_summary(const CorpusSpec& spec, int n_threads, Progress& progress);

}  // namespace lmbits
