#include "src/report/correlate_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/report/pairing.h"
#include "src/report/rank_report.h"

namespace lmbits {
namespace {

constexpr std::size_t kFewestDocuments = 10;

std::string fixed(double value, int decimals, bool sign = false) { return format_fixed(value, decimals, sign); }

std::string in_words(const Interval& interval, int decimals) {
  return fixed(interval.lo, decimals) + " to " + fixed(interval.hi, decimals);
}

// A number a family, equal for models of the same.
std::vector<std::size_t> clusters_of(const Panel& panel) {
  std::map<std::string, std::size_t> numbers;
  std::vector<std::size_t> clusters;
  for (const JoinedPoint& point : panel.points)
    clusters.push_back(numbers.emplace(point.family, numbers.size()).first->second);
  return clusters;
}

// ---- beside the correlation itself ----

std::optional<double> with_bits_per_token(const Panel& panel) {
  std::vector<double> x, y;
  for (const JoinedPoint& point : panel.points) {
    if (!point.bits_per_token) return std::nullopt;
    x.push_back(*point.bits_per_token);
    y.push_back(point.y);
  }
  return correlation(Correlation::kPearson, x, y);
}

std::optional<PartialCorrelation> given_parameters(const Panel& panel, double level) {
  std::vector<double> x, y, log_parameters;
  for (const JoinedPoint& point : panel.points) {
    if (!point.parameters || *point.parameters <= 0.0) continue;
    x.push_back(point.x);
    y.push_back(point.y);
    log_parameters.push_back(std::log10(*point.parameters));
  }
  if (x.size() < 5) return std::nullopt;
  PartialCorrelation partial;
  partial.n = x.size();
  partial.r = partial_correlation(x, y, log_parameters);
  if (!partial.r) return std::nullopt;
  partial.interval = fisher_z_interval(Correlation::kPearson, *partial.r, partial.n, level, 1);
  return partial;
}

// ---- warnings ----

struct Warner {
  const Panel& panel;
  const Association& association;
  std::string family_kind;
  std::vector<std::string> warnings = {};

  void add(const std::string& text) { warnings.push_back(text); }

  void few_models() {
    const std::size_t n = association.n;
    if (n < 3) return add("only " + counted(static_cast<std::int64_t>(n), "model") + ": nothing can be said");
    if (n >= 10) return;
    const auto& interval = association.pearson.formula;
    add("only " + std::to_string(n) + " models: " +
        (interval ? "any r from " + in_words(*interval, 2) + " is compatible with them"
                  : std::string("no interval is to be trusted")));
  }

  void constant_side() {
    if (association.n >= 3 && !association.pearson.value)
      add("all models have the same value on one side: there is no correlation");
  }

  void narrow_ranges() {
    const PanelColumns columns = panel_columns(panel);
    if (columns.x.size() < 3) return;
    const auto [x_lo, x_hi] = std::minmax_element(columns.x.begin(), columns.x.end());
    if ((*x_hi - *x_lo) < 0.1 * std::abs(0.5 * (*x_hi + *x_lo)))
      add("the models lie close together: from " + fixed(*x_lo, 3) + " to " + fixed(*x_hi, 3) +
          ", a range of less than 10 %; r says little about models outside it, and would be larger over a wider range");
    double noise = 0.0, mean = 0.0, variance = 0.0;
    const auto n = static_cast<double>(columns.y.size());
    for (const JoinedPoint& point : panel.points) {
      if (!point.y_error) return;
      noise += *point.y_error * *point.y_error / n;
      mean += point.y / n;
    }
    for (const double y : columns.y) variance += (y - mean) * (y - mean) / (n - 1.0);
    if (variance > 0.0 && noise > 0.1 * variance)
      add("the scores' own sampling error is " + fixed(100.0 * std::min(1.0, noise / variance), 0) +
          " % of their variance between models: noise alone keeps |r| below about " +
          fixed(std::sqrt(std::max(0.0, 1.0 - noise / variance)), 2) + "; more questions would raise it");
  }

  void clusters() {
    if (association.n < 3 || association.n_clusters == association.n) return;
    std::map<std::string, std::size_t> sizes;
    for (const JoinedPoint& point : panel.points) ++sizes[point.family];
    const auto largest =
        std::max_element(sizes.begin(), sizes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    const std::string n = std::to_string(association.n);
    if (family_kind == "training runs")
      add("the " + n + " points are checkpoints of " +
          counted(static_cast<std::int64_t>(association.n_clusters), "training run") +
          ", not independent models: part of r is training progress itself, and the p-values take each for a model of "
          "its own. The interval that leaves out whole runs is the one to read" +
          (association.pearson_clusters_t ? ": r from " + in_words(*association.pearson_clusters_t, 3)
                                          : std::string()));
    if (2 * largest->second > association.n)
      add("one family dominates: " + largest->first + " is " + std::to_string(largest->second) + " of " + n +
          " models");
    if (association.n_clusters > 1 && association.n_clusters < 4)
      add("only " + std::to_string(association.n_clusters) + " " + family_kind + ": too few to resample them whole");
  }

  void influential() {
    const std::optional<std::size_t> most = most_moving(association);
    if (!most || association.n < 4) return;
    const std::string& model = panel.points[*most].model;
    const std::optional<double>& without = association.influences[*most].pearson_without;
    if (!without)
      add("one model carries all of it: without " + model + " one side is constant, and there is no correlation");
    else if (std::abs(*without - *association.pearson.value) > 0.05)
      add("one model carries much of it: without " + model + " r is " + fixed(*without, 3) + " instead of " +
          fixed(*association.pearson.value, 3));
  }

  void not_a_line() {
    if (!association.pearson.value || !association.spearman.value || association.n < 6) return;
    const double r = *association.pearson.value, rho = *association.spearman.value;
    if (std::abs(rho) - std::abs(r) > 0.1)
      add("the order agrees better than the line (rho " + fixed(rho, 2) + ", r " + fixed(r, 2) +
          "): the relation is bent");
    if (std::abs(r) - std::abs(rho) > 0.15)
      add("the line agrees better than the order (r " + fixed(r, 2) + ", rho " + fixed(rho, 2) +
          "): a few far-off models make r");
  }

  void tokens(const std::optional<double>& bits_per_token_r) {
    if (!bits_per_token_r || !association.pearson.value) return;
    if (*bits_per_token_r * *association.pearson.value < 0.0)
      add("by bits/token r would be " + fixed(*bits_per_token_r, 2, true) +
          ": the sign flips, because the models' tokens are of different lengths. Never compare models by bits/token");
  }
};

// ---- gzip ----

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

std::vector<GzipCorpus> gzip_corpora(const CompressionTable& table) {
  std::vector<GzipCorpus> result;
  for (const std::string& corpus : table.corpora) {
    GzipCorpus row;
    row.corpus = corpus;
    std::vector<double> ratios;
    for (const Compression& compression : table.rows) {
      if (compression.corpus != corpus || !compression.ratio || !compression.gzip_ratio) continue;
      row.gzip_ratio = *compression.gzip_ratio;
      if (ratios.empty() || *compression.ratio > row.best_ratio) {
        row.best_ratio = *compression.ratio;
        row.best_model = compression.model;
      }
      ratios.push_back(*compression.ratio);
    }
    if (ratios.empty()) continue;
    row.n_models = ratios.size();
    row.worst_ratio = *std::min_element(ratios.begin(), ratios.end());
    row.median_ratio = median(ratios);
    result.push_back(row);
  }
  return result;
}

std::optional<GzipDocuments> gzip_documents(const Run& run, double level) {
  GzipDocuments row;
  std::vector<double> model, gzip, log_bytes;
  for (const DocumentRecord* record : tried_documents(run).scored) {
    const auto bytes = record->baselines.find("gzip-9");
    if (bytes == record->baselines.end() || bytes->second <= 0 || record->bits <= 0.0 || record->n_bytes == 0) continue;
    model.push_back(8.0 * static_cast<double>(record->n_bytes) / record->bits);
    gzip.push_back(static_cast<double>(record->n_bytes) / static_cast<double>(bytes->second));
    log_bytes.push_back(std::log(static_cast<double>(record->n_bytes)));
  }
  if (model.size() < kFewestDocuments) return std::nullopt;
  row.model = model_name(run);
  row.corpus = corpus_name(run);
  row.n = model.size();
  row.pearson = correlation(Correlation::kPearson, gzip, model);
  row.spearman = correlation(Correlation::kSpearman, gzip, model);
  row.given_size = partial_correlation(gzip, model, log_bytes);
  if (row.pearson) row.pearson_interval = fisher_z_interval(Correlation::kPearson, *row.pearson, row.n, level);
  if (row.spearman) row.spearman_interval = fisher_z_interval(Correlation::kSpearman, *row.spearman, row.n, level);
  return row;
}

void add_gzip(const CompressionTable& table, const std::vector<Run>& runs, CorrelateReport& report) {
  report.gzip = gzip_corpora(table);
  if (report.gzip.size() >= 3) {
    std::vector<double> gzip, model;
    for (const GzipCorpus& row : report.gzip) {
      gzip.push_back(row.gzip_ratio);
      model.push_back(row.median_ratio);
    }
    report.gzip_across_corpora = correlation(Correlation::kPearson, gzip, model);
  }
  for (const Run& run : runs) {
    if (run.summary.is_null() || table.find(model_name(run), corpus_name(run)) == nullptr) continue;
    if (auto row = gzip_documents(run, report.request.level)) report.gzip_documents.push_back(*std::move(row));
  }
  if (!report.gzip.empty() && report.gzip_documents.empty())
    report.notes.push_back(
        "no corpus has ten documents: whether models gain where gzip gains, document by document, "
        "can be asked after `lmbits eval --split paragraphs`");
}

void add_matrix(const CompressionTable& table, CorrelateReport& report) {
  if (table.corpora.size() < 2) return;
  report.matrix_corpora = table.corpora;
  for (const PanelResult& area : report.panels) {
    if (area.panel.kind != PanelKind::kArea) continue;
    MatrixRow row{area.panel.area, {}};
    for (const std::string& corpus : table.corpora) {
      const PanelColumns columns = panel_columns(mismatched(table, *report.join, area.panel, corpus));
      MatrixCell cell{correlation(Correlation::kPearson, columns.x, columns.y), std::nullopt};
      if (cell.r)
        cell.interval = fisher_z_interval(Correlation::kPearson, *cell.r, columns.x.size(), report.request.level);
      row.cells.push_back(cell);
    }
    report.matrix.push_back(row);
  }
}

}  // namespace

PanelResult analyse(const Panel& panel, CompressionMetric by, const std::string& family_kind,
                    const CorrelateRequest& request) {
  PanelResult result;
  result.panel = panel;
  const PanelColumns columns = panel_columns(panel);
  const AssociationOptions options{
      request.level, request.n_resamples > 0 ? request.n_resamples : default_model_resamples(columns.x.size()),
      request.n_permutations, request.seed, request.n_threads};
  result.association = associate(columns.x, columns.y, clusters_of(panel), options);
  if (by != CompressionMetric::kBitsPerToken) result.bits_per_token_r = with_bits_per_token(panel);
  result.given_parameters = given_parameters(panel, request.level);
  Warner warner{panel, result.association, family_kind};
  warner.few_models();
  warner.constant_side();
  warner.clusters();
  warner.narrow_ranges();
  warner.influential();
  warner.not_a_line();
  warner.tokens(result.bits_per_token_r);
  result.warnings = std::move(warner.warnings);
  return result;
}

CorrelateReport correlate(const CompressionTable& table, const std::vector<Run>& runs, const std::vector<Score>& scores,
                          const CorrelateRequest& request) {
  CorrelateReport report;
  report.request = request;
  report.family_kind = table.family_kind;
  report.notes = table.notes;
  if (request.n_resamples == 0) report.request.n_resamples = default_model_resamples(table.models.size());
  if (!scores.empty()) {
    report.join = join_scores(table, scores, request.join);
    report.notes.insert(report.notes.end(), report.join->notes.begin(), report.join->notes.end());
    const std::vector<Panel>& panels = report.join->panels;
    report.panels.resize(panels.size());
    CorrelateRequest alone = report.request;  // a panel's own threads: those that the panels leave
    alone.n_threads = std::max(1, request.n_threads / std::max(1, static_cast<int>(panels.size())));
    parallel_for(std::ssize(panels), request.n_threads, [&](std::int64_t i) {
      const auto k = static_cast<std::size_t>(i);
      report.panels[k] = analyse(panels[k], report.join->by, table.family_kind, alone);
    });
    add_matrix(table, report);
  }
  add_gzip(table, runs, report);
  if (report.panels.empty() && report.gzip.empty())
    throw Error(ErrorKind::kUsage, "there are neither scores nor gzip sizes to correlate with",
                "give --scores FILE; gzip sizes come with runs of `lmbits eval`");
  return report;
}

std::string panel_name(const Panel& panel) {
  return panel.kind == PanelKind::kOverall ? "overall" : panel.kind == PanelKind::kArea ? panel.area : panel.benchmark;
}

}  // namespace lmbits
