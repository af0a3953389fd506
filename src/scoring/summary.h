// A finished run's summary.json (fields: docs/formats.md) from its records.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "src/conventions/convention.h"
#include "src/core/json_fwd.h"
#include "src/model/language_model.h"
#include "src/scoring/contamination.h"
#include "src/store/run_directory.h"

namespace lmbits {

// What classical compressors need for a whole corpus: for all text that could be read, also where a model failed at it.
struct CorpusBaselines {
  std::map<std::string, std::int64_t> sizes;  // codec name -> bytes
  std::int64_t n_bytes = 0;                   // of the text
  std::string dictionary;                     // hash of the text that zstd-22-dict has seen before; empty: none
};

struct SummaryOptions {
  double level = 0.95;                           // of the interval
  std::uint64_t seed = 1;                        // of its bootstrap
  const Contamination* contamination = nullptr;  // where it was asked for
  double contaminated_share = kContaminatedShare;
};

// The order of the run's records does not matter.
Json summarise(const Run& run, const ModelInfo& model, const Convention& convention, const CorpusBaselines& baselines,
               const SummaryOptions& options);

}  // namespace lmbits
