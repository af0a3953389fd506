// A finished run's summary.json (fields: docs/formats.md) from its records.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "src/conventions/convention.h"
#include "src/core/json.h"
#include "src/model/language_model.h"
#include "src/scoring/contamination.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct SummaryOptions {
  double level = 0.95;                           // of the interval
  std::uint64_t seed = 1;                        // of its bootstrap
  const Contamination* contamination = nullptr;  // where it was asked for
  double contaminated_share = kContaminatedShare;
};

// `baselines`: codec name -> compressed bytes of the whole corpus. The order of the run's records does not matter.
Json summarise(const Run& run, const ModelInfo& model, const Convention& convention,
               const std::map<std::string, std::int64_t>& baselines, const SummaryOptions& options);

}  // namespace lmbits
