#include "src/report/correlate_tables.h"

#include <algorithm>
#include <numeric>

#include "src/report/rank_report.h"

namespace lmbits {
namespace {

constexpr NamedEstimate kEstimates[] = {
    {"pearson", "Pearson r", &Association::pearson},
    {"spearman", "Spearman ρ", &Association::spearman},
    {"kendall", "Kendall τ-b", &Association::kendall},
    {"slope", "slope", &Association::slope},
    {"intercept", "intercept", &Association::intercept},
    {"rmse", "RMSE (÷ n)", &Association::rmse},
    {"r_squared", "R²", &Association::r_squared},
    {"theil_sen_slope", "Theil-Sen slope", &Association::theil_sen_slope},
    {"theil_sen_intercept", "its intercept", &Association::theil_sen_intercept},
};

std::string indented_name(const Panel& panel) {
  if (panel.kind == PanelKind::kBenchmark) return "  " + panel.benchmark;
  return panel_name(panel) + (panel.benchmark.empty() ? "" : " (" + panel.benchmark + ")");
}

bool has_bits_per_token(const CorrelateReport& report) {
  return std::any_of(report.panels.begin(), report.panels.end(),
                     [](const PanelResult& p) { return p.bits_per_token_r.has_value(); });
}

bool has_clusters(const Association& a) { return a.pearson.clusters.has_value(); }

// Models by x, best compression first.
std::vector<std::size_t> order_by_x(const Panel& panel, CompressionMetric by) {
  std::vector<std::size_t> order(panel.points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return by == CompressionMetric::kRatio ? panel.points[a].x > panel.points[b].x
                                           : panel.points[a].x < panel.points[b].x;
  });
  return order;
}

}  // namespace

std::span<const NamedEstimate> named_estimates() { return kEstimates; }

Table panels_table(const CorrelateReport& report) {
  const std::string level = "[" + percent_as_given(report.request.level) + "]";
  Table table;
  table.columns = {{.key = "name", .title = "scores", .align = Align::kLeft},
                   {.key = "n", .title = "models"},
                   {.key = "r", .title = "r", .decimals = 3, .sign = true},
                   {.key = "r_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true},
                   {.key = "rho", .title = "ρ", .decimals = 2, .sign = true},
                   {.key = "tau", .title = "τ", .decimals = 2, .sign = true},
                   {.key = "r_squared", .title = "R²", .decimals = 2},
                   {.key = "rmse", .title = "RMSE", .decimals = 3},
                   {.key = "p", .title = "p"}};
  if (has_bits_per_token(report))
    table.columns.push_back({.key = "r_bits_per_token", .title = "r by token", .decimals = 2, .sign = true});
  for (const PanelResult& result : report.panels) {
    const Association& a = result.association;
    const Cell p = a.pearson_test ? Cell(p_shown(a.pearson_test->p)) : Cell(std::monostate{});
    TableRow row{{indented_name(result.panel), static_cast<std::int64_t>(a.n), cell_of(a.pearson.value),
                  cell_of(a.pearson.formula), cell_of(a.spearman.value), cell_of(a.kendall.value),
                  cell_of(a.r_squared.value), cell_of(a.rmse.value), p},
                 result.panel.kind == PanelKind::kBenchmark ? Emphasis::kNone : Emphasis::kStrong};
    if (has_bits_per_token(report)) row.cells.push_back(cell_of(result.bits_per_token_r));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table estimates_table(const Association& a, const std::string& family_kind) {
  Table table;
  table.columns = {{.key = "number", .title = "", .align = Align::kLeft},
                   {.key = "value", .title = "value", .decimals = 3},
                   {.key = "formula", .title = "by formula", .decimals = 3, .interval = true},
                   {.key = "bca", .title = "BCa", .decimals = 3, .interval = true},
                   {.key = "percentile", .title = "percentile", .decimals = 3, .interval = true}};
  if (has_clusters(a))
    table.columns.push_back({.key = "clusters", .title = "whole " + family_kind, .decimals = 3, .interval = true});
  for (const NamedEstimate& named : kEstimates) {
    const Estimate& e = a.*named.estimate;
    TableRow row{
        {std::string(named.title), cell_of(e.value), cell_of(e.formula), cell_of(e.bca), cell_of(e.percentile)}};
    if (has_clusters(a)) row.cells.push_back(cell_of(e.clusters));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table models_table(const PanelResult& result, const CorrelateReport& report) {
  Table table;
  table.columns = {
      {.key = "model", .title = "model", .align = Align::kLeft},
      {.key = "family", .title = report.family_kind == "training runs" ? "run" : "family", .align = Align::kLeft},
      {.key = "x", .title = metric_words(report.join->by), .decimals = 3},
      {.key = "y", .title = "score", .decimals = 3},
      {.key = "predicted", .title = "from the others", .decimals = 3},
      {.key = "prediction",
       .title = "[" + percent_as_given(report.request.level) + "]",
       .decimals = 3,
       .interval = true,
       .joined = true},
      {.key = "residual", .title = "residual", .decimals = 3, .sign = true},
      {.key = "cooks_distance", .title = "Cook", .decimals = 2},
      {.key = "r_without", .title = "r without", .decimals = 3, .sign = true},
      {.key = "", .title = "", .align = Align::kLeft, .audience = Audience::kPeople}};
  for (const std::size_t i : order_by_x(result.panel, report.join->by)) {
    const JoinedPoint& point = result.panel.points[i];
    const Influence empty;
    const Influence& influence = i < result.association.influences.size() ? result.association.influences[i] : empty;
    const bool outside = influence.prediction && !influence.prediction->contains(point.y);
    table.rows.push_back(
        {{point.model, point.family, point.x, point.y, cell_of(influence.predicted), cell_of(influence.prediction),
          result.association.fit ? Cell(influence.residual) : Cell(std::monostate{}), cell_of(influence.cooks_distance),
          cell_of(influence.pearson_without), std::string(outside ? "!" : "")},
         outside ? Emphasis::kStrong : Emphasis::kNone});
  }
  return table;
}

Table matrix_table(const CorrelateReport& report) {
  Table table;
  table.columns.push_back({.key = "area", .title = "scores of", .align = Align::kLeft});
  const std::string level = "[" + percent_as_given(report.request.level) + "]";
  for (const std::string& corpus : report.matrix_corpora) {
    table.columns.push_back({.key = corpus, .title = "on " + corpus, .decimals = 3, .sign = true});
    table.columns.push_back(
        {.key = corpus + "_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true});
  }
  for (const MatrixRow& row : report.matrix) {
    TableRow cells{{row.area}};
    for (const MatrixCell& cell : row.cells) {
      cells.cells.push_back(cell_of(cell.r));
      cells.cells.push_back(cell_of(cell.interval));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table gzip_table(const CorrelateReport& report) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "gzip_ratio", .title = "gzip-9", .decimals = 3},
                   {.key = "median_ratio", .title = "median model", .decimals = 3},
                   {.key = "best_ratio", .title = "best model", .decimals = 3},
                   {.key = "best_model", .title = "", .align = Align::kLeft},
                   {.key = "gain", .title = "best / gzip", .decimals = 2},
                   {.key = "n_models", .title = "models"}};
  for (const GzipCorpus& row : report.gzip)
    table.rows.push_back({{row.corpus, row.gzip_ratio, row.median_ratio, row.best_ratio, row.best_model,
                           row.best_ratio / row.gzip_ratio, static_cast<std::int64_t>(row.n_models)}});
  return table;
}

Table gzip_documents_table(const CorrelateReport& report) {
  const std::string level = "[" + percent_as_given(report.request.level) + "]";
  Table table;
  table.columns = {
      {.key = "model", .title = "model", .align = Align::kLeft},
      {.key = "corpus", .title = "corpus", .align = Align::kLeft},
      {.key = "n", .title = "documents"},
      {.key = "spearman", .title = "ρ", .decimals = 3, .sign = true},
      {.key = "spearman_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true},
      {.key = "pearson", .title = "r", .decimals = 3, .sign = true},
      {.key = "pearson_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true},
      {.key = "r_given_log_bytes", .title = "given size", .decimals = 3, .sign = true}};
  for (const GzipDocuments& row : report.gzip_documents)
    table.rows.push_back({{row.model, row.corpus, static_cast<std::int64_t>(row.n), cell_of(row.spearman),
                           cell_of(row.spearman_interval), cell_of(row.pearson), cell_of(row.pearson_interval),
                           cell_of(row.given_size)}});
  return table;
}

}  // namespace lmbits
