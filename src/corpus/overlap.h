// How much of a corpus stands in other texts: contamination with training data.
//
// An n-gram of a document (n consecutive bytes, or n words) is found where the other texts have it. n-grams never cross
// the border of a document. Bytes: exact, each match of hashes is compared. Words: by 64-bit hashes alone; of e n-grams
// tried against t, e t / 2^64 match by accident.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "src/core/progress.h"
#include "src/corpus/ngrams.h"
#include "src/corpus/reader.h"

namespace lmbits {

struct DocumentOverlap {
  std::string id, category;
  std::int64_t n_bytes = 0;
  std::int64_t n_ngrams = 0;  // 0: the document is too short to have one
  std::int64_t n_found = 0;   // of them, how many the other texts have
  std::vector<std::pair<std::int64_t, std::int64_t>>
      found;  // bytes [begin, end) that lie in one found, ascending, apart

  std::int64_t n_bytes_found() const;
  std::int64_t longest_found() const;  // bytes of the longest of `found`
  double share() const { return n_bytes == 0 ? 0.0 : double(n_bytes_found()) / double(n_bytes); }
};

struct OverlapOptions {
  NgramRule rule;
  int n_threads = 1;
  std::int64_t memory_bytes = std::int64_t{1} << 30;  // of the table, below
};

struct Overlap {
  std::vector<DocumentOverlap> documents;  // in the corpus' order; those that failed are left out
  std::int64_t n_failed = 0;
  std::int64_t n_train_bytes = 0, n_train_failed = 0;  // of all passes' first
  int n_passes = 0;
};

// The corpus' n-grams are held in a table, about 24 bytes for each of its bytes, and the other texts stream by: memory
// does not depend on them (16 MiB a thread). A corpus whose table would be larger than `memory_bytes` is taken in parts,
// with a pass over the other texts for each. Stops early, with what it has, after request_stop().
Overlap measure_overlap(const CorpusSpec& corpus, const std::vector<CorpusSpec>& train, const OverlapOptions& options,
                        Progress& progress);

// Sums over documents.
struct OverlapTotals {
  std::int64_t n_documents = 0, n_too_short = 0, n_contaminated = 0;
  std::int64_t n_bytes = 0, n_bytes_found = 0, n_ngrams = 0, n_found = 0, longest_found = 0;
};
// Contaminated: `share` of a document's bytes or more lie in n-grams that were found.
OverlapTotals total(const std::vector<DocumentOverlap>& documents, double share);

// The default of that share: what Touvron et al. 2023 (arXiv:2307.09288, A.6) leave is "clean" below it.
inline constexpr double kContaminatedShare = 0.2;

}  // namespace lmbits
