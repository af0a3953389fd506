#include "src/report/correlate_figures.h"

#include <algorithm>
#include <cmath>

#include "src/report/correlate_tables.h"
#include "src/report/correlate_words.h"
#include "src/report/wording.h"
#include "src/stats/normal.h"

namespace lmbits {
namespace {

constexpr int kLineSteps = 60;
constexpr std::size_t kSmallPanels = 3;

std::string corpora_words(const Panel& panel) {
  std::string text;
  for (const std::string& corpus : panel.corpora) text += (text.empty() ? "" : ", ") + corpus;
  return panel.corpora.size() > 3 ? std::to_string(panel.corpora.size()) + " corpora" : text;
}

std::string score_words(const Panel& panel) {
  return panel.kind == PanelKind::kBenchmark ? panel.metric : "mean score";
}

ScatterPoint point_of(const JoinedPoint& point, double level) {
  ScatterPoint p{.label = point.model, .group = point.family, .x = point.x, .y = point.y};
  if (point.y_error) {
    const double half = normal_quantile((1.0 + level) / 2.0) * *point.y_error;
    p.y_interval = Interval{point.y - half, point.y + half};
  }
  return p;
}

// Over the whole range of the points, those that are not fitted too.
FittedLine fitted_line(const LinearFit& fit, const std::vector<ScatterPoint>& points, double level) {
  const auto [first, last] =
      std::minmax_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
  FittedLine line;
  line.level = level;
  for (int i = 0; i <= kLineSteps; ++i) {
    const double x = first->x + (last->x - first->x) * i / kLineSteps;
    line.at.push_back({x, fit.at(x), line_interval(fit, x, level), prediction_interval(fit, x, level)});
  }
  return line;
}

Scatter without_points(const PanelResult& result, CompressionMetric by) {
  Scatter scatter;
  scatter.title = panel_name(result.panel);
  scatter.x_title = metric_words(by) + " of " + corpora_words(result.panel);
  scatter.y_title = score_words(result.panel);
  scatter.rho = result.association.pearson.value;
  scatter.rmse = result.association.rmse.value;
  return scatter;
}

void fit_line_of(Scatter& scatter, const PanelResult& result, double level) {
  if (result.association.fit && scatter.points.size() >= 2)
    scatter.fit = fitted_line(*result.association.fit, scatter.points, level);
}

std::string caption_of(const Scatter& scatter, const PanelResult& result) {
  std::string text = counted(static_cast<std::int64_t>(result.association.n), "model") + ": " + scatter.y_title +
                     " over " + scatter.x_title + ".";
  if (scatter.rho) text += " RMSE: of the least squares line, divided by n.";
  if (scatter.fit)
    text += " Bands: where the line, and where a new model, would lie with " + percent_as_given(scatter.fit->level) +
            " confidence.";
  if (std::any_of(scatter.points.begin(), scatter.points.end(), [](const auto& p) { return p.y_interval.has_value(); }))
    text += " Bars through the points: sampling of the questions.";
  return text;
}

}  // namespace

Scatter scatter_of(const PanelResult& result, CompressionMetric by, double level) {
  Scatter scatter = without_points(result, by);
  for (const JoinedPoint& point : result.panel.points) scatter.points.push_back(point_of(point, level));
  fit_line_of(scatter, result, level);
  return scatter;
}

Scatter scatter_with_unfitted(const PanelResult& result, const Panel& shown, CompressionMetric by, double level) {
  Scatter scatter = without_points(result, by);
  const auto& fitted = result.panel.points;
  for (const JoinedPoint& point : shown.points) {
    scatter.points.push_back(point_of(point, level));
    scatter.points.back().in_fit =
        std::any_of(fitted.begin(), fitted.end(), [&](const JoinedPoint& p) { return p.model == point.model; });
  }
  fit_line_of(scatter, result, level);
  return scatter;
}

std::vector<Figure> correlate_figures(const CorrelateReport& report) {
  std::vector<Figure> figures, singles;
  std::vector<Scatter> areas;
  std::optional<Scatter> overall;
  for (const PanelResult& result : report.panels) {
    if (result.panel.kind == PanelKind::kBenchmark || result.panel.points.size() < 2) continue;
    const Scatter scatter = scatter_of(result, report.join->by, report.request.level);
    const std::string caption = caption_of(scatter, result), stem = file_stem(scatter.title);
    singles.push_back({"scatter_" + stem, scatter.title, caption, draw_scatter(scatter)});
    if (scatter.fit)
      singles.push_back(
          {"residuals_" + stem, scatter.title, "How far each model is from the line.", draw_residuals(scatter)});
    if (result.panel.kind == PanelKind::kOverall)
      overall = scatter;
    else if (areas.size() < kSmallPanels)
      areas.push_back(scatter);
  }
  if (overall && !areas.empty())
    figures.push_back({"overview", "overview",
                       "Large: all areas. Small: the areas, each with its own line; models look alike in all panels.",
                       draw_overview(*overall, areas)});
  figures.insert(figures.end(), singles.begin(), singles.end());
  return figures;
}

ReportSection correlate_section(const CorrelateReport& report) {
  ReportSection section;
  section.title = "Compression and scores";
  for (const PanelResult& result : report.panels) {
    if (result.panel.kind == PanelKind::kBenchmark) continue;
    section.paragraphs.push_back(panel_name(result.panel) + ": " +
                                 panel_words(result, report.join->by, report.request.level));
    for (const std::string& warning : result.warnings)
      if (&result == &report.panels.front() || !is_common(warning))
        section.warnings.push_back(panel_name(result.panel) + ": " + warning);
  }
  for (const std::string& words : {matrix_words(report), gzip_words(report)})
    if (!words.empty()) section.paragraphs.push_back(words);
  for (const std::string& note : all_notes(report)) section.warnings.push_back(note);
  section.figures = correlate_figures(report);
  section.table = panels_table(report);
  if (!report.matrix.empty())
    section.more.push_back({"Does the corpus matter? r of an area's scores with each corpus", matrix_table(report)});
  if (!report.gzip.empty())
    section.more.push_back({"Model ratio against gzip ratio, higher is better", gzip_table(report)});
  if (!report.gzip_documents.empty())
    section.more.push_back(
        {"Model ratio against gzip ratio, over the documents of a run", gzip_documents_table(report)});
  return section;
}

}  // namespace lmbits
