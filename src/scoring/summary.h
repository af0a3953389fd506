// A finished run's summary.json (fields: docs/formats.md) from its records.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "src/conventions/convention.h"
#include "src/core/json.h"
#include "src/metrics/record.h"
#include "src/model/language_model.h"

namespace lmbits {

struct SummaryOptions {
  double level = 0.95;     // of the interval
  std::uint64_t seed = 1;  // of its bootstrap
};

// `baselines`: codec name -> compressed bytes of the whole corpus. The records' order does not matter.
Json summarise(const ModelInfo& model, const std::string& corpus, const Convention& convention,
               std::vector<DocumentRecord> records, const std::map<std::string, std::int64_t>& baselines,
               const SummaryOptions& options);

}  // namespace lmbits
