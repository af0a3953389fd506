// What a corpus shares with training texts, and what that does to a run's number.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/core/json.h"
#include "src/corpus/overlap.h"
#include "src/metrics/record.h"

namespace lmbits {

struct ContaminationOptions {
  std::vector<CorpusSpec> train;  // none: not asked for
  NgramRule rule;
  double share = kContaminatedShare;  // of a document's (or block's) bytes that make it contaminated
  std::int64_t memory_bytes = std::int64_t{1} << 30;
};

struct Contamination {
  Json identity;  // of what was compared: fingerprints and the rule; "share" is not in it, it changes no overlap
  Json against;   // [{name, path, fingerprint}]
  std::vector<DocumentOverlap> documents;
  std::int64_t n_train_bytes = 0, n_train_failed = 0;
};

// Compares, or takes what an earlier process found from a file in `cache`, which is checked and made again where it is
// damaged. Stopped (request_stop) it has no documents.
Contamination find_contamination(const CorpusSpec& corpus, const std::string& corpus_fingerprint,
                                 const ContaminationOptions& options, const std::filesystem::path& cache);

// `contamination` of summary.json (docs/formats.md): the overlap's totals, bits/byte of the scored documents with and
// without the contaminated ones, the same over blocks, the worst documents. Documents and records are joined by id.
Json contamination_json(const Contamination& contamination, const std::vector<DocumentRecord>& records, double share);

}  // namespace lmbits
