// `lmbits compare`: did a model get better or worse, paired by document, and does a gate close?
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/table.h"
#include "src/stats/ranking.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct CompareRequest {
  double level = 0.95;
  std::optional<double> max_regression =
      {};                        // the gate's limit P on the relative increase in bits/byte: 0.002 for 0.2 %
  std::int64_t n_resamples = 0;  // 0: as many as default_resamples says
  std::uint64_t seed = 1;
  int n_threads = 1;
};

// The gate's rule, for the relative increase r and its interval [lo, hi]:
//   regression  lo > 0 and r > P: it got worse, beyond noise, and our best estimate is by more than allowed
//   passed      otherwise; with `settled` when hi <= P (shown to be within the limit), and without it when the interval
//               is too wide to tell, which the report says together with how many documents would do.
// A limit on lo alone (lo > P) would let a real regression of 1.5 P pass for want of documents; one on r alone would call
// noise a regression. [lo, hi] is at level 1 - (1 - level) / k, where k comparisons are gated (Bonferroni), so that the
// chance of a false alarm of the whole gate stays within (1 - level) / 2.
struct Gate {
  double level = 0.0;
  std::optional<Interval> interval;
  bool regression = false;
  bool settled = false;
  std::optional<std::int64_t>
      units_needed;  // about this many units would settle it; null where it is settled or unknown
};

struct MovedDocument {
  std::string corpus, id;
  std::int64_t n_bytes = 0;
  double base_bits = 0.0, new_bits = 0.0;
};

struct Comparison {
  std::string corpus;  // overall: empty
  std::string convention;
  std::string unit = "document";              // or "block"
  std::int64_t n_documents = 0, n_units = 0;  // compared
  double base = 0.0, next = 0.0;              // bits/byte
  double difference = 0.0, relative = 0.0;    // next - base, next / base - 1
  std::optional<Interval> difference_interval, relative_interval;
  std::int64_t n_better = 0, n_worse = 0;    // units
  std::optional<double> sign_p, wilcoxon_p;  // of the units' differences in bits/byte; null where not paired
  std::string verdict;
  std::optional<Gate> gate;
  std::vector<MovedDocument> moved;  // the five with the largest change in bits, largest first
  std::vector<std::string> warnings;
};

struct CompareReport {
  CompareRequest request;  // with the number of resamples that was used
  std::string base, next;  // models
  std::vector<Comparison>
      comparisons;  // each corpus and convention; then, over several corpora, all their text (micro)
  std::vector<std::string> warnings;
  bool regression = false;  // a gate found one
};

// `base` and `next` hold the runs of one model each. Corpora that only one side has are named in a warning. Throws
// Error(kData) where no corpus is in both, a run is unfinished, or fingerprints differ; Error(kUsage) where a side holds
// several models.
CompareReport compare_runs(const std::vector<Run>& base, const std::vector<Run>& next, const CompareRequest& request);

std::string to_text(const CompareReport& report, const TextStyle& style);
Json to_json(const CompareReport& report);

}  // namespace lmbits
