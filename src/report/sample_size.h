// How much text do I need? How the correlation with scores, and the order of the models, settle as characters
// accumulate.
#pragma once
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/correlate_report.h"
#include "src/stats/settling.h"

namespace lmbits {

struct SampleSizeCurve {
  std::string corpus, area;  // area: empty without scores
  std::size_t n_models = 0, n_units = 0;
  std::string unit = "document";  // or "block"
  double chars_per_byte = 1.0;
  Settling settling;  // weights are bytes
  std::vector<std::string> warnings;
};

struct SampleSizeReport {
  SettlingOptions options;
  std::vector<SampleSizeCurve> curves;
  std::vector<std::string> notes;
};

// A curve for each corpus: models are paired by document (or block); the scores are the mean of the area that goes with
// the corpus (see join_scores), none without. Corpora with fewer than two models or units are noted and left out.
SampleSizeReport sample_size(const std::vector<Run>& runs, const std::string& convention,
                             const std::vector<Score>& scores, const JoinRequest& join, const SettlingOptions& options);

std::string to_text(const SampleSizeReport& report, const TextStyle& style);
Json to_json(const SampleSizeReport& report);

}  // namespace lmbits
