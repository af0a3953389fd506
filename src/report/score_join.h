// Compression beside scores: the points of every panel of the picture.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/report/compression_table.h"
#include "src/tasks/scores.h"

namespace lmbits {

struct JoinRequest {
  CompressionMetric by = CompressionMetric::kBitsPerByte;
  std::map<std::string, std::string> corpus_of_area;  // else the corpus of the area's name
  std::map<std::string, std::string> names;           // the scores' name of a model -> the runs'
  std::string metric;                                 // of every benchmark; empty: see chosen_metric
  std::vector<std::string> leave_out;                 // models
};

// One model: x its compression, y its score.
struct JoinedPoint {
  std::string model, family;
  double x = 0.0, y = 0.0;
  std::optional<double> y_error;         // standard error of y, over questions
  std::optional<double> bits_per_token;  // beside x, of the same corpora
  std::optional<double> parameters;
};

enum class PanelKind {
  kOverall,    // y: the mean of the areas' scores; x: the mean of the areas' x
  kArea,       // y: the mean of the area's benchmarks, or its only one
  kBenchmark,  // y: one benchmark
};

struct Panel {
  PanelKind kind = PanelKind::kBenchmark;
  std::string area;                   // overall: empty
  std::string benchmark, metric;      // of a benchmark, or of an area that has only one
  std::vector<std::string> corpora;   // that x is the mean of; overall: the areas' ones
  bool lower_is_better = false;       // of y
  std::vector<JoinedPoint> points;    // by model name
  std::vector<std::string> left_out;  // models that have only a part of what it takes
};

// The points' x and y, in their order.
struct PanelColumns {
  std::vector<double> x, y;
};
PanelColumns panel_columns(const Panel& panel);

struct ScoreJoin {
  CompressionMetric by = CompressionMetric::kBitsPerByte;  // what x is
  std::vector<Panel> panels;  // overall, then each area, followed by its benchmarks where they are several
  std::vector<std::string> areas;
  std::vector<std::string> only_scores;  // names of models without compression
  std::vector<std::string> only_compression;
  std::vector<std::string> notes;
};

// The metric that stands for a benchmark: `wanted`, else the first there is of acc_norm, acc, accuracy, exact_match
// (any filter), em, quasi_exact_match, pass@1, f1, f1_score, score; else its only one. Empty where none is. join_scores
// offers those of which more is better, unless one is asked for: a mean over accuracies and perplexities means nothing.
std::string chosen_metric(const std::vector<std::string>& metrics, const std::string& wanted);

// Scores without an area are of the area whose corpus' name their benchmark's name holds ("cloze_code": code; the
// longest), or of one area "all". An area's corpus is `corpus_of_area`'s, the one of its name, the only one, or the mean of all. A
// model counts in a panel where it has everything the panel's means need. Throws Error(kData) where no model is on both
// sides, and for two different values of one model, benchmark and metric; Error(kUsage) for corpora, areas, models to leave out and
// a metric that are not there.
ScoreJoin join_scores(const CompressionTable& table, const std::vector<Score>& scores, const JoinRequest& request);

// The points of `area`'s mean score over another corpus: the mismatched picture.
Panel mismatched(const CompressionTable& table, const ScoreJoin& join, const Panel& area, const std::string& corpus);

}  // namespace lmbits
