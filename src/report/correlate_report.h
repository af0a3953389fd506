// `lmbits correlate`: how does compression relate to benchmark scores, and to what gzip makes of the same text?
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/compression_table.h"
#include "src/report/score_join.h"
#include "src/report/table.h"
#include "src/stats/association.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct CorrelateRequest {
  double level = 0.95;
  std::int64_t n_resamples = 0;  // 0: as many as default_model_resamples says for the largest panel
  std::int64_t n_permutations = 99999;
  std::uint64_t seed = 1;
  int n_threads = 1;
  JoinRequest join = {};
};

// The correlation with the logarithm of the models' parameters held fixed.
struct PartialCorrelation {
  std::size_t n = 0;  // models whose parameters are known
  std::optional<double> r;
  std::optional<Interval> interval;  // Fisher's z
};

struct PanelResult {
  Panel panel;
  Association association;
  std::optional<double> bits_per_token_r;  // Pearson's, of the same scores: across tokenizers it means nothing
  std::optional<PartialCorrelation> given_parameters;
  std::vector<std::string> warnings;  // in words
};

// Pearson's r of an area's mean score with each corpus, its own and the others.
struct MatrixCell {
  std::optional<double> r;
  std::optional<Interval> interval;  // Fisher's z
};
struct MatrixRow {
  std::string area;
  std::vector<MatrixCell> cells;  // one a corpus
};

// A corpus as gzip and the models see it.
struct GzipCorpus {
  std::string corpus;
  double gzip_ratio = 0.0;
  std::string best_model;
  double best_ratio = 0.0, median_ratio = 0.0, worst_ratio = 0.0;
  std::size_t n_models = 0;
};

// Over the documents of one run: does the model gain where gzip gains? Ratios of raw to compressed bytes, a document
// each.
struct GzipDocuments {
  std::string model, corpus;
  std::size_t n = 0;
  std::optional<double> pearson, spearman;
  std::optional<Interval> pearson_interval, spearman_interval;  // Fisher's z
  std::optional<double> given_size;  // r with log bytes held fixed: short documents compress badly for everyone
};

struct CorrelateReport {
  CorrelateRequest request;  // with the number of resamples that was used
  std::string family_kind;
  std::optional<ScoreJoin> join;  // null without scores; its panels' points are in `panels`
  std::vector<PanelResult> panels;
  std::vector<std::string> matrix_corpora;
  std::vector<MatrixRow> matrix;  // with two corpora or more
  std::vector<GzipCorpus> gzip;
  std::optional<double>
      gzip_across_corpora;  // Pearson's r of the median model's ratio with gzip's, of three corpora or more
  std::vector<GzipDocuments> gzip_documents;
  std::vector<std::string> notes;
};

// Adds gzip's side where the table has it, and its documents where there are runs of ten documents or more. Throws
// Error(kUsage) where there are neither scores nor gzip's sizes, and as join_scores does.
CorrelateReport correlate(const CompressionTable& table, const std::vector<Run>& runs, const std::vector<Score>& scores,
                          const CorrelateRequest& request);

// One panel's results: all of `correlate` that has to do with one picture.
PanelResult analyse(const Panel& panel, CompressionMetric by, const std::string& family_kind,
                    const CorrelateRequest& request);

// `detail`: the area whose models and estimates are listed ("overall", an area or a benchmark); empty: the first panel.
// Throws Error(kUsage) where it is not there.
std::string to_text(const CorrelateReport& report, const std::string& detail, const TextStyle& style);
std::string to_markdown(const CorrelateReport& report);
std::string to_csv(const CorrelateReport& report);  // a line a panel and number
Json to_json(const CorrelateReport& report);

Json to_json(const Association& association);
Json to_json(const std::optional<Interval>& interval);  // [lo, hi] or null

// The parts, for other pages: a row a panel; one panel in a few sentences; what was left out and why.
Table panels_table(const CorrelateReport& report);
std::string panel_words(const PanelResult& result, CompressionMetric by, double level);
std::vector<std::string> all_notes(const CorrelateReport& report);

std::string panel_name(const Panel& panel);  // "overall", the area, or the benchmark
std::string p_shown(double p);               // "0.0123", "<0.0001"
std::string p_text(const std::optional<PermutationTest>& test);

}  // namespace lmbits
