#include "src/report/score_join.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits {
namespace {

// What one benchmark says: model -> score, of one metric.
struct Benchmark {
  std::string area, name, metric;
  std::map<std::string, Score> scores;
  bool lower_is_better = false;
};

// An area's or the overall value of a model.
struct MeanScore {
  double value = 0.0;
  std::optional<double> error;
};

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string shown(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}

// ---- which metric, which area ----

std::string area_of(const Score& score, const std::vector<std::string>& corpora) {
  if (!score.area.empty()) return score.area;
  std::string longest;  // "prose2" rather than "prose"
  for (const std::string& corpus : corpora)
    if (corpus.size() > longest.size() && score.benchmark.find(corpus) != std::string::npos) longest = corpus;
  return longest.empty() ? "all" : longest;
}

using ByMetric = std::map<std::string, std::map<std::string, Score>>;  // metric -> model -> score

void insert(ByMetric& by_metric, const Score& score) {
  const auto [there, is_new] = by_metric[score.metric].emplace(score.model, score);
  if (is_new || there->second.value == score.value) return;
  throw Error(ErrorKind::kData,
              "model " + score.model + " has two scores of " + score.benchmark + " " + score.metric + ": " +
                  shown(there->second.value) + " (" + there->second.source + ") and " + shown(score.value) + " (" +
                  score.source + ")",
              "keep one of them");
}

bool lower_is_better(const std::map<std::string, Score>& scores) {
  return std::any_of(scores.begin(), scores.end(), [](const auto& entry) { return entry.second.lower_is_better; });
}

std::string left_out_words(const std::string& benchmark, const ByMetric& by_metric, const JoinRequest& request) {
  std::string list;
  for (const auto& [metric, scores] : by_metric)
    list += (list.empty() ? "" : ", ") + metric + (lower_is_better(scores) ? " (lower is better)" : "");
  return benchmark + " is left out: it has " + list + (request.metric.empty() ? "; choose with --metric" : "");
}

[[noreturn]] void refuse_metrics(const std::set<std::string>& all, const std::string& wanted) {
  const std::vector<std::string> known(all.begin(), all.end());
  if (wanted.empty())
    throw Error(ErrorKind::kUsage, "no benchmark has a metric that stands for it: there are " + listed(known),
                "choose one with --metric");
  throw Error(ErrorKind::kUsage, "--metric " + wanted + ": no score is of that metric, they are of " + listed(known),
              suggestion(wanted, known));
}

std::vector<Benchmark> benchmarks_of(std::vector<Score> scores, const CompressionTable& table,
                                     const JoinRequest& request, ScoreJoin& join) {
  std::map<std::pair<std::string, std::string>, ByMetric> all;  // (area, benchmark)
  std::set<std::string> guessed;
  for (Score& score : scores) {
    const auto renamed = request.names.find(score.model);
    if (renamed != request.names.end()) score.model = renamed->second;
    const std::string area = area_of(score, table.corpora);
    if (score.area.empty() && area != "all") guessed.insert(score.benchmark + " is of " + area);
    insert(all[{area, score.benchmark}], score);
  }
  if (!guessed.empty())
    join.notes.push_back("areas by the corpus in the benchmark's name: " + listed({guessed.begin(), guessed.end()}));
  std::vector<Benchmark> benchmarks;
  std::set<std::string> known;
  for (auto& [key, by_metric] : all) {
    std::vector<std::string> metrics;
    for (const auto& [metric, of_models] : by_metric) {
      known.insert(metric);
      if (!request.metric.empty() || !lower_is_better(of_models)) metrics.push_back(metric);
    }
    const std::string metric = chosen_metric(metrics, request.metric);
    if (metric.empty()) {
      join.notes.push_back(left_out_words(key.second, by_metric, request));
      continue;
    }
    const bool lower = lower_is_better(by_metric[metric]);
    benchmarks.push_back({key.first, key.second, metric, std::move(by_metric[metric]), lower});
  }
  if (benchmarks.empty() && !known.empty()) refuse_metrics(known, request.metric);
  return benchmarks;
}

// ---- x ----

std::vector<std::string> corpora_of_area(const std::string& area, const CompressionTable& table,
                                         const JoinRequest& request, ScoreJoin& join) {
  const auto given = request.corpus_of_area.find(area);
  const auto has = [&](const std::string& corpus) {
    return std::find(table.corpora.begin(), table.corpora.end(), corpus) != table.corpora.end();
  };
  if (given != request.corpus_of_area.end()) {
    if (!has(given->second))
      throw Error(ErrorKind::kUsage, "--area " + area + "=" + given->second + ": no such corpus",
                  suggestion(given->second, table.corpora));
    return {given->second};
  }
  if (has(area)) return {area};
  if (table.corpora.size() > 1)
    join.notes.push_back("area " + area + " has no corpus of its name: its x is the mean over " +
                         listed(table.corpora) + " (--area " + area + "=CORPUS chooses one)");
  else if (area != "all")
    join.notes.push_back("area " + area + " has no corpus of its name: its x is " + listed(table.corpora) +
                         ", the only one");
  return table.corpora;
}

// The mean of a metric over corpora; nullopt where one lacks it.
std::optional<double> mean_over(const CompressionTable& table, const std::string& model,
                                const std::vector<std::string>& corpora, CompressionMetric metric) {
  double sum = 0.0;
  for (const std::string& corpus : corpora) {
    const Compression* row = table.find(model, corpus);
    const std::optional<double> value = row == nullptr ? std::nullopt : row->value(metric);
    if (!value) return std::nullopt;
    sum += *value;
  }
  return sum / static_cast<double>(corpora.size());
}

// The metric asked for, or the one that the table has.
CompressionMetric available_metric(const CompressionTable& table, CompressionMetric wanted, ScoreJoin& join) {
  const auto has = [&](CompressionMetric metric) {
    return std::any_of(table.rows.begin(), table.rows.end(),
                       [&](const Compression& row) { return row.value(metric).has_value(); });
  };
  if (has(wanted)) return wanted;
  for (const CompressionMetric other : {CompressionMetric::kBitsPerByte, CompressionMetric::kBitsPerChar,
                                        CompressionMetric::kRatio, CompressionMetric::kBitsPerToken}) {
    if (!has(other)) continue;
    join.notes.push_back("there is no " + metric_words(wanted) + ": x is " + metric_words(other));
    return other;
  }
  throw Error(ErrorKind::kData, "no model has bits per byte, char or token, or a ratio",
              "score something first: lmbits eval");
}

// ---- y ----

std::optional<MeanScore> mean_score(const std::vector<const Benchmark*>& benchmarks, const std::string& model) {
  MeanScore mean;
  double squares = 0.0;
  bool errors = true;
  for (const Benchmark* benchmark : benchmarks) {
    const auto found = benchmark->scores.find(model);
    if (found == benchmark->scores.end()) return std::nullopt;
    mean.value += found->second.value;
    errors = errors && found->second.standard_error;
    if (errors) squares += *found->second.standard_error * *found->second.standard_error;
  }
  const auto n = static_cast<double>(benchmarks.size());
  mean.value /= n;
  if (errors) mean.error = std::sqrt(squares) / n;
  return mean;
}

// ---- panels ----

class PanelMaker {
 public:
  PanelMaker(const CompressionTable& table, const JoinRequest& request, CompressionMetric by)
      : table_(table), request_(request), by_(by) {}

  // `score` gives a model's y; x is the mean of the means over each set of corpora. Models that have some but not all are
  // named as left out.
  template <typename ScoreOf>
  Panel make(Panel panel, const std::vector<std::vector<std::string>>& corpora, const std::set<std::string>& candidates,
             const ScoreOf& score) const {
    for (const std::string& model : candidates) {
      if (std::find(request_.leave_out.begin(), request_.leave_out.end(), model) != request_.leave_out.end()) continue;
      const auto facts = table_.models.find(model);
      if (facts == table_.models.end()) continue;
      const std::optional<double> x = mean_of_means(model, corpora, by_);
      const std::optional<MeanScore> y = score(model);
      if (!x || !y) {
        panel.left_out.push_back(model);
        continue;
      }
      panel.points.push_back({model, facts->second.family, *x, y->value, y->error,
                              mean_of_means(model, corpora, CompressionMetric::kBitsPerToken),
                              facts->second.parameters});
    }
    return panel;
  }

 private:
  std::optional<double> mean_of_means(const std::string& model, const std::vector<std::vector<std::string>>& corpora,
                                      CompressionMetric metric) const {
    double sum = 0.0;
    for (const std::vector<std::string>& set : corpora) {
      const std::optional<double> mean = mean_over(table_, model, set, metric);
      if (!mean) return std::nullopt;
      sum += *mean;
    }
    return sum / static_cast<double>(corpora.size());
  }

  const CompressionTable& table_;
  const JoinRequest& request_;
  CompressionMetric by_;
};

std::set<std::string> models_of(const std::vector<const Benchmark*>& benchmarks) {
  std::set<std::string> models;
  for (const Benchmark* benchmark : benchmarks)
    for (const auto& entry : benchmark->scores) models.insert(entry.first);
  return models;
}

std::optional<MeanScore> overall_score(const std::map<std::string, std::vector<const Benchmark*>>& areas,
                                       const std::string& model) {
  MeanScore mean;
  double squares = 0.0;
  bool errors = true;
  for (const auto& entry : areas) {
    const std::optional<MeanScore> score = mean_score(entry.second, model);
    if (!score) return std::nullopt;
    mean.value += score->value / static_cast<double>(areas.size());
    errors = errors && score->error;
    if (errors) squares += *score->error * *score->error;
  }
  if (errors) mean.error = std::sqrt(squares) / static_cast<double>(areas.size());
  return mean;
}

void list_unmatched(const CompressionTable& table, const std::set<std::string>& scored, ScoreJoin& join) {
  for (const std::string& model : scored)
    if (table.models.count(model) == 0) join.only_scores.push_back(model);
  for (const auto& entry : table.models)
    if (scored.count(entry.first) == 0) join.only_compression.push_back(entry.first);
  if (join.only_scores.size() < scored.size()) return;
  std::vector<std::string> known;
  for (const auto& entry : table.models) known.push_back(entry.first);
  throw Error(
      ErrorKind::kData,
      "no model is on both sides: scores are of " + listed(join.only_scores) + "; compression is of " + listed(known),
      "--names FILE maps one to the other: a CSV file with the columns score_name, model");
}

// A name that is mistyped would change the answer without a word.
void check_left_out(const CompressionTable& table, const std::set<std::string>& scored, const JoinRequest& request) {
  std::vector<std::string> known(scored.begin(), scored.end());
  for (const auto& entry : table.models) known.push_back(entry.first);
  for (const std::string& model : request.leave_out)
    if (std::find(known.begin(), known.end(), model) == known.end())
      throw Error(ErrorKind::kUsage, "--leave-out " + model + ": no such model", suggestion(model, known));
}

void note_unused_names(const std::vector<Score>& scores, const JoinRequest& request, ScoreJoin& join) {
  std::vector<std::string> unused;
  for (const auto& entry : request.names)
    if (std::none_of(scores.begin(), scores.end(), [&](const Score& s) { return s.model == entry.first; }))
      unused.push_back(entry.first);
  if (!unused.empty()) join.notes.push_back("--names maps names that no score has: " + listed(unused));
}

}  // namespace

std::string chosen_metric(const std::vector<std::string>& metrics, const std::string& wanted) {
  const auto first_named = [&](const std::string& name) -> std::string {
    for (const std::string& metric : metrics)
      if (metric == name || metric.starts_with(name + ",")) return metric;
    return {};
  };
  if (!wanted.empty()) return first_named(wanted);
  for (const char* name :
       {"acc_norm", "acc", "accuracy", "exact_match", "em", "quasi_exact_match", "pass@1", "f1", "f1_score", "score"}) {
    const std::string found = first_named(name);
    if (!found.empty()) return found;
  }
  return metrics.size() == 1 ? metrics[0] : std::string();
}

PanelColumns panel_columns(const Panel& panel) {
  PanelColumns columns;
  for (const JoinedPoint& point : panel.points) {
    columns.x.push_back(point.x);
    columns.y.push_back(point.y);
  }
  return columns;
}

ScoreJoin join_scores(const CompressionTable& table, const std::vector<Score>& scores, const JoinRequest& request) {
  ScoreJoin join;
  join.by = available_metric(table, request.by, join);
  note_unused_names(scores, request, join);
  const std::vector<Benchmark> benchmarks = benchmarks_of(scores, table, request, join);
  for (const Benchmark& benchmark : benchmarks) {
    const bool is_share = std::all_of(benchmark.scores.begin(), benchmark.scores.end(),
                                      [](const auto& entry) { return entry.second.value <= 1.0; });
    if (!is_share && !benchmark.lower_is_better)
      join.notes.push_back(benchmark.name + " has scores above 1: if they are percents, import them with --percent");
  }
  std::map<std::string, std::vector<const Benchmark*>> areas;
  for (const Benchmark& benchmark : benchmarks) areas[benchmark.area].push_back(&benchmark);
  for (const auto& given : request.corpus_of_area) {
    std::vector<std::string> known;
    for (const auto& entry : areas) known.push_back(entry.first);
    if (areas.count(given.first) == 0)
      throw Error(ErrorKind::kUsage, "--area " + given.first + "=" + given.second + ": no score is of that area",
                  suggestion(given.first, known));
  }
  std::vector<const Benchmark*> every;
  for (const Benchmark& benchmark : benchmarks) every.push_back(&benchmark);
  const std::set<std::string> scored = models_of(every);
  check_left_out(table, scored, request);
  list_unmatched(table, scored, join);

  const PanelMaker maker(table, request, join.by);
  Panel overall;
  overall.kind = PanelKind::kOverall;
  std::vector<Panel> panels;
  std::vector<std::vector<std::string>> corpora_of_areas;
  for (const auto& [area, members] : areas) {
    join.areas.push_back(area);
    Panel panel;
    panel.kind = PanelKind::kArea;
    panel.area = area;
    panel.corpora = corpora_of_area(area, table, request, join);
    panel.lower_is_better =
        std::any_of(members.begin(), members.end(), [](const Benchmark* b) { return b->lower_is_better; });
    if (members.size() == 1) {
      panel.benchmark = members[0]->name;
      panel.metric = members[0]->metric;
    }
    corpora_of_areas.push_back(panel.corpora);
    overall.lower_is_better = overall.lower_is_better || panel.lower_is_better;
    for (const std::string& corpus : panel.corpora)
      if (std::find(overall.corpora.begin(), overall.corpora.end(), corpus) == overall.corpora.end())
        overall.corpora.push_back(corpus);
    const auto& its = members;
    panels.push_back(maker.make(panel, {panel.corpora}, models_of(its),
                                [&](const std::string& model) { return mean_score(its, model); }));
    if (its.size() == 1) continue;
    for (const Benchmark* benchmark : its) {
      Panel one = panel;
      one.kind = PanelKind::kBenchmark;
      one.benchmark = benchmark->name;
      one.metric = benchmark->metric;
      panels.push_back(maker.make(one, {one.corpora}, models_of({benchmark}),
                                  [&](const std::string& model) { return mean_score({benchmark}, model); }));
    }
  }
  if (areas.size() > 1)
    join.panels.push_back(maker.make(overall, corpora_of_areas, scored,
                                     [&](const std::string& model) { return overall_score(areas, model); }));
  join.panels.insert(join.panels.end(), panels.begin(), panels.end());
  return join;
}

Panel mismatched(const CompressionTable& table, const ScoreJoin& join, const Panel& area, const std::string& corpus) {
  Panel panel = area;
  panel.corpora = {corpus};
  panel.points.clear();
  for (const JoinedPoint& point : area.points) {
    const std::optional<double> x = mean_over(table, point.model, {corpus}, join.by);
    if (!x) continue;
    panel.points.push_back(point);
    panel.points.back().x = *x;
  }
  return panel;
}

}  // namespace lmbits
