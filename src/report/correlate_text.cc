// The renderings of a CorrelateReport.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/report/correlate_report.h"
#include "src/report/rank_report.h"

namespace lmbits {
namespace {

std::string fixed(double value, int decimals, bool sign = false) { return format_fixed(value, decimals, sign); }

std::string bold(const std::string& text, const TextStyle& style) {
  return style.color ? "\x1b[1m" + text + "\x1b[0m" : text;
}

std::string warned(const std::vector<std::string>& warnings, const std::string& mark, const TextStyle& style) {
  std::string text;
  for (const std::string& warning : warnings) text += wrapped(mark + printable(warning), style.width, mark.size());
  return text;
}

// ---- the overview: a row a panel ----

std::string indented_name(const Panel& panel) {
  if (panel.kind == PanelKind::kBenchmark) return "  " + panel.benchmark;
  return panel_name(panel) + (panel.benchmark.empty() ? "" : " (" + panel.benchmark + ")");
}

bool has_bits_per_token(const CorrelateReport& report) {
  return std::any_of(report.panels.begin(), report.panels.end(),
                     [](const PanelResult& p) { return p.bits_per_token_r.has_value(); });
}

Table overview(const CorrelateReport& report, bool people) {
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
    TableRow row{{people ? indented_name(result.panel) : panel_name(result.panel), static_cast<std::int64_t>(a.n),
                  cell_of(a.pearson.value), cell_of(a.pearson.formula), cell_of(a.spearman.value),
                  cell_of(a.kendall.value), cell_of(a.r_squared.value), cell_of(a.rmse.value), p},
                 result.panel.kind == PanelKind::kBenchmark ? Emphasis::kNone : Emphasis::kStrong};
    if (has_bits_per_token(report)) row.cells.push_back(cell_of(result.bits_per_token_r));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string heading(const CorrelateReport& report) {
  std::size_t n = 0;
  for (const PanelResult& result : report.panels) n = std::max(n, result.association.n);
  const bool higher = report.join->by == CompressionMetric::kRatio;
  return "compression (" + metric_words(report.join->by) + (higher ? " ↑" : " ↓") + ") against scores ↑ · " +
         counted(static_cast<std::int64_t>(n), "model");
}

// ---- one panel in words, in a picture and in full ----

std::string corpora_text(const Panel& panel) {
  std::string text;
  for (const std::string& corpus : panel.corpora) text += (text.empty() ? "" : ", ") + printable(corpus);
  return panel.corpora.size() > 1 ? "the mean of " + text : text;
}

std::string verdict(const Association& a, bool lower_is_better) {
  const auto& interval = a.pearson.formula;
  if (!a.pearson.value) return "No correlation can be computed.";
  const double r = *a.pearson.value, size = std::abs(r);
  if (!interval) return "r = " + fixed(r, 3) + ", without an interval: too few models.";
  const std::string spread = "its interval is " + fixed(interval->lo, 3) + " to " + fixed(interval->hi, 3);
  if (interval->contains(0.0))
    return "No relation is shown: r = " + fixed(r, 3) + ", and " + spread + ", which includes 0.";
  const char* strength = size >= 0.9 ? "very strong" : size >= 0.7 ? "strong" : size >= 0.4 ? "moderate" : "weak";
  const bool expected = lower_is_better == (r < 0.0);
  return std::string("A ") + strength + " linear relation: r = " + fixed(r, 3) + ", " + spread + ". " +
         (expected ? "Models that compress better score higher."
                   : "Contrary to expectation, models that compress better score lower.");
}

struct Prediction {
  double root_mean_square = 0.0;
  std::size_t n = 0, n_inside = 0;
};

Prediction predictions_of(const PanelResult& result) {
  Prediction sum;
  for (std::size_t i = 0; i < result.association.influences.size(); ++i) {
    const Influence& point = result.association.influences[i];
    if (!point.predicted || !point.prediction) continue;
    const double error = result.panel.points[i].y - *point.predicted;
    sum.root_mean_square += error * error;
    sum.n_inside += point.prediction->contains(result.panel.points[i].y);
    ++sum.n;
  }
  if (sum.n > 0) sum.root_mean_square = std::sqrt(sum.root_mean_square / static_cast<double>(sum.n));
  return sum;
}

std::string in_words(const PanelResult& result, CompressionMetric by, double level, const TextStyle& style) {
  const Association& a = result.association;
  std::string text = verdict(a, by != CompressionMetric::kRatio);
  if (a.slope.value && a.slope.formula) {
    const double step = by == CompressionMetric::kRatio ? 10.0 : -10.0;  // points of 0.01 a tenth
    const double lo = std::min(step * a.slope.formula->lo, step * a.slope.formula->hi);
    const double hi = std::max(step * a.slope.formula->lo, step * a.slope.formula->hi);
    text += " 0.1 " + metric_words(by) + (by == CompressionMetric::kRatio ? " more" : " less") + " goes with " +
            fixed(step * *a.slope.value, 1, true) + " points of score (" + fixed(lo, 1, true) + " to " +
            fixed(hi, 1, true) + ").";
  }
  const Prediction prediction = predictions_of(result);
  if (prediction.n > 0)
    text += " Each model predicted from the others: off by " + fixed(100.0 * prediction.root_mean_square, 1) +
            " points (root mean square), " + std::to_string(prediction.n_inside) + " of " +
            std::to_string(prediction.n) + " inside their " + percent_as_given(level) + " prediction interval.";
  if (result.given_parameters && result.given_parameters->r)
    text += " With log parameters held fixed (" +
            counted(static_cast<std::int64_t>(result.given_parameters->n), "model") + ") r is " +
            fixed(*result.given_parameters->r, 3) +
            (result.given_parameters->interval ? " [" + fixed(result.given_parameters->interval->lo, 3) + ", " +
                                                     fixed(result.given_parameters->interval->hi, 3) + "]."
                                               : ".");
  return wrapped(text, style.width, 0);
}

// The points and the least squares line in a field of characters.
std::string scatter(const PanelResult& result, CompressionMetric by, std::size_t terminal_width) {
  constexpr std::size_t kHeight = 13, kMargin = 9;
  const auto& points = result.panel.points;
  if (points.size() < 3 || !result.association.fit || terminal_width < 50) return {};
  const std::size_t width = std::min<std::size_t>(70, terminal_width - kMargin - 1);
  const auto by_x =
      std::minmax_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
  const auto by_y =
      std::minmax_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.y < b.y; });
  const double x_lo = by_x.first->x, x_hi = by_x.second->x, y_lo = by_y.first->y, y_hi = by_y.second->y;
  if (!(x_hi > x_lo) || !(y_hi > y_lo)) return {};
  const auto place = [](double value, double lo, double hi, std::size_t cells) {
    return static_cast<std::ptrdiff_t>(std::lround((value - lo) / (hi - lo) * static_cast<double>(cells - 1)));
  };
  std::vector<std::vector<std::string>> field(kHeight, std::vector<std::string>(width, " "));
  const auto put = [&](std::ptrdiff_t column, std::ptrdiff_t row, const char* mark) {
    if (row >= 0 && row < static_cast<std::ptrdiff_t>(kHeight))
      field[kHeight - 1 - static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] = mark;
  };
  for (std::size_t c = 0; c < width; ++c) {
    const double x = x_lo + (x_hi - x_lo) * static_cast<double>(c) / static_cast<double>(width - 1);
    put(static_cast<std::ptrdiff_t>(c), place(result.association.fit->at(x), y_lo, y_hi, kHeight), "·");
  }
  for (const JoinedPoint& point : points)
    put(place(point.x, x_lo, x_hi, width), place(point.y, y_lo, y_hi, kHeight), "●");
  std::string text;
  for (std::size_t r = 0; r < kHeight; ++r) {
    const std::string label = r == 0 ? fixed(y_hi, 3) : r == kHeight - 1 ? fixed(y_lo, 3) : "";
    text += std::string(kMargin - 2 - std::min(kMargin - 2, label.size()), ' ') + label + " │";
    std::string line;
    for (const std::string& cell : field[r]) line += cell;
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  const std::string left = fixed(x_lo, 3), right = fixed(x_hi, 3), title = metric_words(by);
  std::string axis = left;
  axis += std::string(std::max<std::size_t>(1, (width - title.size()) / 2 - left.size()), ' ') + title;
  axis += std::string(width - std::min(width - 1, axis.size() + right.size()), ' ') + right;
  text += std::string(kMargin - 1, ' ') + "└";
  for (std::size_t c = 0; c < width; ++c) text += "─";
  return text + "\n" + std::string(kMargin, ' ') + axis + "\n";
}

struct NamedEstimate {
  const char* key;
  const char* title;
  const Estimate Association::*estimate;
};

constexpr NamedEstimate kEstimates[] = {
    {"pearson", "Pearson r", &Association::pearson},
    {"spearman", "Spearman ρ", &Association::spearman},
    {"kendall", "Kendall τ-b", &Association::kendall},
    {"slope", "slope", &Association::slope},
    {"intercept", "intercept", &Association::intercept},
    {"rmse", "RMSE (÷ n)", &Association::rmse},
    {"r_squared", "R²", &Association::r_squared},
    {"theil_sen_slope", "Theil-Sen slope", &Association::theil_sen_slope},
    {"theil_sen_intercept", "Theil-Sen intercept", &Association::theil_sen_intercept},
};

bool has_clusters(const Association& a) { return a.pearson.clusters.has_value(); }

Table estimates_table(const Association& a, const std::string& family_kind) {
  Table table;
  table.columns = {{.key = "number", .title = "", .align = Align::kLeft},
                   {.key = "value", .title = "value", .decimals = 3},
                   {.key = "formula", .title = "z / t / Sen", .decimals = 3, .interval = true},
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

std::string tests_line(const Association& a, double level) {
  std::string text =
      "p: r " + p_text(a.pearson_test) + " · ρ " + p_text(a.spearman_test) + " · τ " + p_text(a.kendall_test);
  if (a.pearson_bootstrap_t)
    text += " · r by bootstrap-t on z, " + percent_as_given(level) + ": [" + fixed(a.pearson_bootstrap_t->lo, 3) +
            ", " + fixed(a.pearson_bootstrap_t->hi, 3) + "]";
  return text;
}

// Which model moves r most, and which the line.
std::string influence_line(const PanelResult& result) {
  const auto& all = result.association.influences;
  const auto& r = result.association.pearson.value;
  if (!r || all.empty()) return {};
  const auto change = [&](const Influence& i) { return i.pearson_without ? std::abs(*i.pearson_without - *r) : 0.0; };
  const auto moves_r = std::max_element(all.begin(), all.end(),
                                        [&](const Influence& a, const Influence& b) { return change(a) < change(b); });
  const auto moves_line = std::max_element(all.begin(), all.end(), [](const Influence& a, const Influence& b) {
    return a.cooks_distance.value_or(0.0) < b.cooks_distance.value_or(0.0);
  });
  const auto model = [&](auto point) {
    return printable(result.panel.points[static_cast<std::size_t>(point - all.begin())].model);
  };
  if (!moves_r->pearson_without || !moves_line->cooks_distance) return {};
  return "moves r most: " + model(moves_r) + ", without it r = " + fixed(*moves_r->pearson_without, 3) +
         " · moves the line most: " + model(moves_line) + ", Cook's distance " + fixed(*moves_line->cooks_distance, 2) +
         (*moves_line->cooks_distance > 1.0 ? ": above 1, the line leans on it" : "");
}

const PanelResult& detailed(const CorrelateReport& report, const std::string& name) {
  std::vector<std::string> known;
  for (const PanelResult& result : report.panels) {
    known.push_back(panel_name(result.panel));
    if (!result.panel.benchmark.empty()) known.push_back(result.panel.benchmark);
    if (name.empty() || panel_name(result.panel) == name || result.panel.benchmark == name) return result;
  }
  throw Error(ErrorKind::kUsage, "--detail " + name + ": no such panel", suggestion(name, known));
}

std::string detail_text(const CorrelateReport& report, const std::string& name, const TextStyle& style) {
  const PanelResult& result = detailed(report, name);
  const Association& a = result.association;
  std::string text = bold(printable(panel_name(result.panel)), style) + " · " + metric_words(report.join->by) + " of " +
                     corpora_text(result.panel) + " · " + counted(static_cast<std::int64_t>(a.n), "model") +
                     (a.n_clusters == 1    ? ", all of one family"
                      : a.n_clusters < a.n ? ", " + std::to_string(a.n_clusters) + " " + report.family_kind
                                           : "") +
                     "\n";
  text += in_words(result, report.join->by, report.request.level, style);
  text += warned(result.warnings, "  ! ", style) + "\n";
  const std::string picture = scatter(result, report.join->by, style.width);
  if (!picture.empty()) text += picture + "\n";
  text += to_text(estimates_table(a, report.family_kind), style);
  text += wrapped(tests_line(a, report.request.level), style.width, 0);
  text += wrapped(influence_line(result), style.width, 0) + "\n";
  return text + to_text(models_table(result, report), style) + "\n";
}

// ---- the other sections ----

std::string matrix_text(const CorrelateReport& report, const TextStyle& style) {
  if (report.matrix.empty()) return {};
  Table table;
  table.columns.push_back({.key = "area", .title = "scores of", .align = Align::kLeft});
  for (const std::string& corpus : report.matrix_corpora)
    table.columns.push_back({.key = corpus, .title = "on " + corpus, .decimals = 3, .sign = true});
  for (const MatrixRow& row : report.matrix) {
    TableRow cells{{row.area}};
    for (const auto& r : row.r) cells.cells.push_back(cell_of(r));
    table.rows.push_back(std::move(cells));
  }
  return bold("does the corpus matter?", style) + " · r of an area's scores with each corpus\n" +
         to_text(table, style) + "\n";
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

std::string range_text(const std::vector<double>& values) {
  const auto [lo, hi] = std::minmax_element(values.begin(), values.end());
  return values.size() == 1 ? fixed(*lo, 2) : fixed(*lo, 2) + " to " + fixed(*hi, 2);
}

// Does the model gain where gzip gains, document by document, and is that more than the documents' size?
std::string documents_words(const CorrelateReport& report) {
  std::size_t n_above = 0, n_below = 0;
  std::vector<double> rho, r, given_size;
  for (const GzipDocuments& row : report.gzip_documents) {
    if (!row.spearman || !row.pearson || !row.given_size) continue;
    const Interval interval =
        row.spearman_interval.value_or(Interval{*row.spearman, *row.spearman});  // none where rho is 1
    n_above += interval.lo > 0.0;
    n_below += interval.hi < 0.0;
    rho.push_back(*row.spearman);
    r.push_back(std::abs(*row.pearson));
    given_size.push_back(*row.given_size);
  }
  if (rho.empty()) return {};
  std::string text = "Document by document, models gain where gzip gains in " + std::to_string(n_above) + " of " +
                     counted(static_cast<std::int64_t>(rho.size()), "run") + " (ρ " + range_text(rho) +
                     (n_below > 0 ? "; the opposite in " + std::to_string(n_below) : std::string()) +
                     "). With the documents' size held fixed r is " + range_text(given_size);
  const double before = std::accumulate(r.begin(), r.end(), 0.0);
  const double after = std::accumulate(given_size.begin(), given_size.end(), 0.0);
  return text + (after < 0.5 * before ? ": most of it is that short documents compress badly for everyone." : ".");
}

std::string gzip_words(const CorrelateReport& report) {
  std::string text;
  if (report.gzip_across_corpora)
    text += "Across the " + std::to_string(report.gzip.size()) +
            " corpora the median model's ratio and gzip's have r = " + fixed(*report.gzip_across_corpora, 2) +
            (report.gzip.size() < 5 ? ": too few corpora to mean much." : ".");
  const std::string documents = documents_words(report);
  return text + (text.empty() || documents.empty() ? "" : " ") + documents;
}

std::string gzip_text(const CorrelateReport& report, const TextStyle& style) {
  if (report.gzip.empty() && report.gzip_documents.empty()) return {};
  std::string text =
      bold("model ratio against gzip ratio", style) + " · raw bytes / compressed bytes, higher is better\n";
  if (!report.gzip.empty()) text += to_text(gzip_table(report), style);
  if (!report.gzip_documents.empty()) text += to_text(gzip_documents_table(report), style);
  const std::string words = gzip_words(report);
  return text + (words.empty() ? "" : wrapped(words, style.width, 0)) + "\n";
}

std::string unmatched(const std::vector<std::string>& names, const std::string& what) {
  if (names.empty()) return {};
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return what + ": " + list;
}

// Warnings of the panels that are not shown in detail.
std::string other_warnings(const CorrelateReport& report, const std::string& detail, const TextStyle& style) {
  if (report.panels.empty()) return {};
  const PanelResult& shown = detailed(report, detail);
  std::string text;
  for (const PanelResult& result : report.panels) {
    if (&result == &shown) continue;
    for (const std::string& warning : result.warnings) {
      const bool said = std::find(shown.warnings.begin(), shown.warnings.end(), warning) != shown.warnings.end();
      // The clusters and tokens are the same everywhere: said once is enough.
      if (said || warning.find("checkpoints of") != std::string::npos || warning.starts_with("by bits/token") ||
          result.panel.kind == PanelKind::kBenchmark)
        continue;
      text += wrapped("  ! " + panel_name(result.panel) + ": " + printable(warning), style.width, 4);
    }
  }
  return text;
}

std::string legend(const CorrelateReport& report, const TextStyle& style) {
  const CorrelateRequest& request = report.request;
  std::string text =
      "↓ lower is better, ↑ higher is better. r Pearson, ρ Spearman, τ Kendall's τ-b; RMSE divides by n. ";
  text += "Intervals at " + percent_as_given(request.level) + ": Fisher's z for r, ρ, τ";
  if (!report.panels.empty())
    text +=
        ", Student's t for the line; BCa and percentile: " + with_thousands(request.n_resamples) +
        " bootstrap resamples of models (seed " + std::to_string(request.seed) +
        "). p: permutations of the scores, two-sided. An interval is about models like these, and says nothing of why";
  if (!report.gzip_documents.empty())
    text +=
        "; over documents, which it takes for independent. given size: r with the documents' log bytes held fixed, "
        "since short ones compress badly for everyone";
  return wrapped(text + ".", style.width, 0);
}

}  // namespace

Table panels_table(const CorrelateReport& report) { return overview(report, true); }

std::string panel_words(const PanelResult& result, CompressionMetric by, double level) {
  std::string text = in_words(result, by, level, {.width = 100000});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<std::string> all_notes(const CorrelateReport& report) {
  std::vector<std::string> notes = report.notes;
  if (!report.join) return notes;
  for (const std::string& note :
       {unmatched(report.join->only_scores, "scores without compression (--names maps names)"),
        unmatched(report.join->only_compression, "compression without scores")})
    if (!note.empty()) notes.push_back(note);
  for (const PanelResult& result : report.panels) {
    const std::string note =
        unmatched(result.panel.left_out, panel_name(result.panel) + " leaves out models that lack a part of it");
    if (!note.empty()) notes.push_back(note);
  }
  return notes;
}

std::string p_shown(double p) { return p < 0.0001 ? "<0.0001" : fixed(p, 4); }

std::string p_text(const std::optional<PermutationTest>& test) {
  if (!test) return "—";
  const std::string how = test->exact ? "exact" : with_thousands(test->n_permutations) + " permutations";
  return p_shown(test->p) + " (" + how + ")";
}

std::string to_text(const CorrelateReport& report, const std::string& detail, const TextStyle& style) {
  std::string text;
  if (!report.panels.empty()) {
    text += bold(heading(report), style) + "\n" + to_text(overview(report, true), style);
    text += other_warnings(report, detail, style) + "\n";
    text += detail_text(report, detail, style);
    text += matrix_text(report, style);
  }
  text += gzip_text(report, style);
  text += warned(all_notes(report), "! ", style);
  return text + legend(report, style);
}

std::string to_markdown(const CorrelateReport& report) {
  std::string text;
  if (report.join) {
    text += "### " + heading(report) + "\n\n" + to_markdown(overview(report, true)) + "\n";
    for (const PanelResult& result : report.panels) {
      text += "#### " + panel_name(result.panel) + "\n\n" +
              in_words(result, report.join->by, report.request.level, {.width = 100000}) + "\n";
      for (const std::string& warning : result.warnings) text += "- " + printable(warning) + "\n";
      text += (result.warnings.empty() ? "" : "\n") +
              to_markdown(estimates_table(result.association, report.family_kind)) + "\n";
      text += tests_line(result.association, report.request.level) + "\n\n" + influence_line(result) + "\n\n" +
              to_markdown(models_table(result, report)) + "\n";
    }
  }
  if (!report.gzip.empty()) text += "#### model ratio against gzip ratio\n\n" + to_markdown(gzip_table(report)) + "\n";
  if (!report.gzip_documents.empty()) text += to_markdown(gzip_documents_table(report)) + "\n";
  for (const std::string& note : all_notes(report)) text += "- " + printable(note) + "\n";
  return text;
}

std::string to_csv(const CorrelateReport& report) {
  Table table;
  for (const char* key : {"kind", "area", "benchmark", "metric", "n", "number", "value"})
    table.columns.push_back({.key = key, .title = key});
  for (const char* key : {"formula", "bca", "percentile", "clusters"})
    table.columns.push_back({.key = key, .title = key, .interval = true});
  table.columns.push_back({.key = "p", .title = "p"});
  const auto text_cell = [](const std::string& text) { return text.empty() ? Cell(std::monostate{}) : Cell(text); };
  for (const PanelResult& result : report.panels) {
    const Association& a = result.association;
    for (const NamedEstimate& named : kEstimates) {
      const Estimate& e = a.*named.estimate;
      const std::optional<PermutationTest>* test = named.estimate == &Association::pearson    ? &a.pearson_test
                                                   : named.estimate == &Association::spearman ? &a.spearman_test
                                                   : named.estimate == &Association::kendall  ? &a.kendall_test
                                                                                              : nullptr;
      const PanelKind kind = result.panel.kind;
      table.rows.push_back(
          {{std::string(kind == PanelKind::kOverall ? "overall"
                        : kind == PanelKind::kArea  ? "area"
                                                    : "benchmark"),
            text_cell(result.panel.area), text_cell(result.panel.benchmark), text_cell(result.panel.metric),
            static_cast<std::int64_t>(a.n), std::string(named.key), cell_of(e.value), cell_of(e.formula),
            cell_of(e.bca), cell_of(e.percentile), cell_of(e.clusters),
            test != nullptr && *test ? Cell((*test)->p) : Cell(std::monostate{})}});
    }
  }
  return to_csv(table);
}

Json to_json(const std::optional<Interval>& interval) {
  if (!interval || !std::isfinite(interval->lo) || !std::isfinite(interval->hi)) return nullptr;
  return Json::array({interval->lo, interval->hi});
}

Json to_json(const Association& a) {
  Json json{{"n", a.n}, {"n_clusters", a.n_clusters}, {"largest_cluster", a.largest_cluster}};
  for (const NamedEstimate& named : kEstimates) {
    const Estimate& e = a.*named.estimate;
    json[named.key] = {{"value", to_json_or_null(e.value)},
                       {"formula", to_json(e.formula)},
                       {"bca", to_json(e.bca)},
                       {"percentile", to_json(e.percentile)},
                       {"clusters", to_json(e.clusters)}};
  }
  json["pearson"]["bootstrap_t"] = to_json(a.pearson_bootstrap_t);
  json["pearson"]["t_p"] = to_json_or_null(a.pearson_t_p);
  const auto test = [&](const char* key, const std::optional<PermutationTest>& t) {
    json[key]["test"] =
        t ? Json{{"p", t->p}, {"exact", t->exact}, {"n_permutations", t->n_permutations}} : Json(nullptr);
  };
  test("pearson", a.pearson_test);
  test("spearman", a.spearman_test);
  test("kendall", a.kendall_test);
  return json;
}

namespace {

Json points_json(const PanelResult& result) {
  Json points = Json::array();
  for (std::size_t i = 0; i < result.panel.points.size(); ++i) {
    const JoinedPoint& p = result.panel.points[i];
    Json point{{"model", printable(p.model)},
               {"family", printable(p.family)},
               {"x", p.x},
               {"y", p.y},
               {"y_stderr", to_json_or_null(p.y_error)},
               {"bits_per_token", to_json_or_null(p.bits_per_token)},
               {"parameters", to_json_or_null(p.parameters)}};
    if (i < result.association.influences.size()) {
      const Influence& influence = result.association.influences[i];
      point.update({{"residual", influence.residual},
                    {"leverage", influence.leverage},
                    {"cooks_distance", to_json_or_null(influence.cooks_distance)},
                    {"predicted", to_json_or_null(influence.predicted)},
                    {"prediction", to_json(influence.prediction)},
                    {"r_without", to_json_or_null(influence.pearson_without)}});
    }
    points.push_back(std::move(point));
  }
  return points;
}

Json panel_json(const PanelResult& result) {
  const Panel& panel = result.panel;
  Json json{{"kind", panel.kind == PanelKind::kOverall ? "overall"
                     : panel.kind == PanelKind::kArea  ? "area"
                                                       : "benchmark"},
            {"name", printable(panel_name(panel))},
            {"area", panel.area.empty() ? Json(nullptr) : Json(printable(panel.area))},
            {"benchmark", panel.benchmark.empty() ? Json(nullptr) : Json(printable(panel.benchmark))},
            {"metric", panel.metric.empty() ? Json(nullptr) : Json(printable(panel.metric))},
            {"corpora", panel.corpora},
            {"association", to_json(result.association)},
            {"r_bits_per_token", to_json_or_null(result.bits_per_token_r)},
            {"given_log_parameters", nullptr},
            {"points", points_json(result)},
            {"left_out", panel.left_out},
            {"warnings", result.warnings}};
  if (result.given_parameters)
    json["given_log_parameters"] = {{"n", result.given_parameters->n},
                                    {"r", to_json_or_null(result.given_parameters->r)},
                                    {"interval", to_json(result.given_parameters->interval)}};
  if (result.association.fit) {
    const LinearFit& fit = *result.association.fit;  // what bands are drawn from: docs/method.md
    json["fit"] = {{"n", fit.n},
                   {"slope", fit.slope},
                   {"intercept", fit.intercept},
                   {"x_mean", fit.x_mean},
                   {"x_ss", fit.x_ss},
                   {"residual_sd", std::isfinite(fit.residual_sd) ? Json(fit.residual_sd) : Json(nullptr)}};
  }
  return json;
}

}  // namespace

Json to_json(const CorrelateReport& report) {
  Json json{{"schema", 1},
            {"by", report.join ? Json(metric_key(report.join->by)) : Json(nullptr)},
            {"level", report.request.level},
            {"resamples", report.request.n_resamples},
            {"permutations", report.request.n_permutations},
            {"seed", report.request.seed},
            {"family_kind", report.family_kind},
            {"panels", Json::array()},
            {"matrix", Json::array()},
            {"gzip", to_json(gzip_table(report))},
            {"gzip_across_corpora", to_json_or_null(report.gzip_across_corpora)},
            {"gzip_documents", to_json(gzip_documents_table(report))},
            {"notes", all_notes(report)}};
  for (const PanelResult& result : report.panels) json["panels"].push_back(panel_json(result));
  for (const MatrixRow& row : report.matrix) {
    Json cells = Json::object();
    for (std::size_t c = 0; c < row.r.size(); ++c) cells[report.matrix_corpora[c]] = to_json_or_null(row.r[c]);
    json["matrix"].push_back({{"area", row.area}, {"r", cells}});
  }
  return json;
}

}  // namespace lmbits
