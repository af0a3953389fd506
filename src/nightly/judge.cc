#include "src/nightly/judge.h"

#include <algorithm>
#include <map>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/store/training.h"

namespace lmbits {
namespace {

// Mean bits/byte over the corpora of both, or nullopt where there is none.
std::optional<std::pair<double, double>> means_on_common_corpora(const JudgedModel& a, const JudgedModel& b) {
  double sum_a = 0.0, sum_b = 0.0;
  int n = 0;
  for (const HistoryRun& run : a.runs) {
    for (const HistoryRun& other : b.runs) {
      if (run.corpus_fingerprint != other.corpus_fingerprint || !run.bits_per_byte || !other.bits_per_byte) continue;
      sum_a += *run.bits_per_byte;
      sum_b += *other.bits_per_byte;
      ++n;
    }
  }
  if (n == 0) return std::nullopt;
  return std::pair(sum_a / n, sum_b / n);
}

std::vector<Run> load(const History& history, const JudgedModel& model) {
  std::vector<Run> runs;
  for (const HistoryRun& run : model.runs) runs.push_back(history.run(run.id));
  return runs;
}

std::vector<std::string> best_on(const JudgedModel& model, const std::vector<JudgedModel>& all) {
  std::vector<std::string> corpora;
  for (const HistoryRun& run : model.runs) {
    if (!run.bits_per_byte) continue;
    const bool beaten = std::any_of(all.begin(), all.end(), [&](const JudgedModel& other) {
      return std::any_of(other.runs.begin(), other.runs.end(), [&](const HistoryRun& of_other) {
        return of_other.corpus_fingerprint == run.corpus_fingerprint && of_other.bits_per_byte &&
               *of_other.bits_per_byte < *run.bits_per_byte;
      });
    });
    if (!beaten && all.size() > 1) corpora.push_back(run.corpus);
  }
  return corpora;
}

}  // namespace

std::vector<JudgedModel> judged_models(const History& history, const NightlyConfig& config) {
  std::map<std::pair<std::string, std::string>, JudgedModel> models;  // by name and fingerprint
  for (const CorpusSpec& corpus : config.corpora) {
    for (const HistoryRun& run :
         history.runs({.model = {}, .corpus = corpus.name, .convention = config.convention.name, .last = 0})) {
      JudgedModel& model = models[{run.model, run.model_fingerprint}];
      model.name = run.model;
      model.fingerprint = run.model_fingerprint;
      model.step = run.step;
      model.training_run = run.step ? training_run_name(run.model, *run.step) : run.model;
      if (model.started.empty() || run.started < model.started) model.started = run.started;
      const auto same = std::find_if(model.runs.begin(), model.runs.end(),
                                     [&](const HistoryRun& other) { return other.corpus == run.corpus; });
      if (same == model.runs.end()) {
        model.runs.push_back(run);
      } else if (run.started >= same->started) {
        *same = run;
      }
    }
  }
  std::vector<JudgedModel> sorted;
  for (auto& [key, model] : models) sorted.push_back(std::move(model));
  std::stable_sort(sorted.begin(), sorted.end(), [](const JudgedModel& a, const JudgedModel& b) {
    return std::tie(a.training_run, a.step, a.started) < std::tie(b.training_run, b.step, b.started);
  });
  return sorted;
}

const JudgedModel* baseline_of(const JudgedModel& model, const std::vector<JudgedModel>& all, const std::string& rule) {
  const JudgedModel* found = nullptr;
  for (const JudgedModel& other : all) {
    if (other.fingerprint == model.fingerprint && other.name == model.name) continue;
    if (rule == "previous") {
      const bool same_run = other.training_run == model.training_run;
      if (model.step ? !same_run || !other.step || *other.step >= *model.step : other.started > model.started) continue;
      const auto key = [&](const JudgedModel& m) {
        return std::tuple(m.training_run == model.training_run, m.step.value_or(0), m.started);
      };
      if (!found || key(other) > key(*found)) found = &other;
    } else if (rule == "best") {
      if (other.started > model.started || !means_on_common_corpora(other, model)) continue;
      const auto means = found ? means_on_common_corpora(other, *found) : std::nullopt;
      if (!found || (means && means->first < means->second)) found = &other;
    } else if (other.name == rule) {
      found = &other;
    }
  }
  return found;
}

CompareReport judge_pair(const std::vector<Run>& base, const std::vector<Run>& next, double alpha,
                         double max_regression) {
  CompareRequest request;
  request.level = 1.0 - 2.0 * alpha;  // its upper side holds alpha
  request.max_regression = max_regression;
  request.n_threads = available_threads();
  return compare_runs(base, next, request);
}

std::vector<Judgement> judge_new(const History& history, const NightlyConfig& config,
                                 const std::set<std::string>& judged) {
  const std::vector<JudgedModel> all = judged_models(history, config);
  std::vector<std::pair<const JudgedModel*, const JudgedModel*>> pairs;
  std::size_t n_compared = 0;
  for (const JudgedModel& model : all) {
    if (judged.contains(model.fingerprint)) continue;
    pairs.emplace_back(&model, baseline_of(model, all, config.baseline));
    n_compared += pairs.back().second != nullptr;
  }
  std::vector<Judgement> judgements;
  for (const auto& [model, baseline] : pairs) {
    Judgement judgement;
    judgement.model = model->name;
    judgement.model_fingerprint = model->fingerprint;
    judgement.best_on = best_on(*model, all);
    if (baseline) {
      judgement.baseline = baseline->name;
      judgement.alpha = config.alpha / static_cast<double>(n_compared);
      try {
        judgement.report =
            judge_pair(load(history, *baseline), load(history, *model), judgement.alpha, config.max_regression);
        judgement.warnings = judgement.report->warnings;
      } catch (const Error& e) {  // corpora that changed between the nights cannot be compared
        judgement.warnings.push_back(std::string("not compared with ") + baseline->name + ": " + e.what());
      }
    } else {
      judgement.warnings.push_back("nothing to compare with yet (baseline: " + config.baseline + ")");
    }
    judgements.push_back(std::move(judgement));
  }
  return judgements;
}

Json to_json(const Judgement& judgement) {
  return {{"model", judgement.model},
          {"model_fingerprint", judgement.model_fingerprint},
          {"baseline", judgement.baseline.empty() ? Json(nullptr) : Json(judgement.baseline)},
          {"alpha", judgement.alpha},
          {"regression", judgement.regression()},
          {"best_on", judgement.best_on},
          {"comparison", judgement.report ? to_json(*judgement.report) : Json(nullptr)},
          {"warnings", judgement.warnings}};
}

}  // namespace lmbits
