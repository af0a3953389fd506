// Did a new checkpoint get worse than its baseline? Paired by document, with the chance of a false alarm held for the night.
//
// A night that judges m checkpoints gives each alpha / m, and a checkpoint's comparison shares that among its corpora and
// their sum (`Gate`, Bonferroni), so that the chance of any alarm in a night without a change is at most alpha. An alarm
// needs both: the interval of the difference lies above 0 at that level, and the difference is above `max_regression`.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/nightly/nightly_config.h"
#include "src/report/compare_report.h"
#include "src/store/history.h"

namespace lmbits {

struct Judgement {
  std::string model, model_fingerprint;
  std::string baseline;                 // empty: there was none to compare with
  double alpha = 0.0;                   // this checkpoint's share
  std::optional<CompareReport> report;  // null without a baseline
  std::vector<std::string> best_on;     // corpora on which no model in the history needs fewer bits
  std::vector<std::string> warnings;
  bool regression() const { return report && report->regression; }
};

// A model's runs that count here: on the configured corpora, under the configured convention, the last of each.
struct JudgedModel {
  std::string name, fingerprint, training_run, started;
  std::optional<std::int64_t> step;
  std::vector<HistoryRun> runs;  // by corpus
};
std::vector<JudgedModel> judged_models(const History& history,
                                       const NightlyConfig& config);  // by training run, step, start

// By config.baseline. "previous": of the same training run the one with the largest step below; without steps, the one of
// the same name scored before, else the one scored last before it. "best": the fewest bits/byte on the mean of the corpora
// that both were scored on, of those scored before.
const JudgedModel* baseline_of(const JudgedModel& model, const std::vector<JudgedModel>& all, const std::string& rule);

// The gate for one checkpoint at its share of alpha.
CompareReport judge_pair(const std::vector<Run>& base, const std::vector<Run>& next, double alpha,
                         double max_regression);

// Every model of the history whose fingerprint is not in `judged`.
std::vector<Judgement> judge_new(const History& history, const NightlyConfig& config,
                                 const std::set<std::string>& judged);

Json to_json(const Judgement& judgement);

}  // namespace lmbits
