#include "src/report/scatter.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/report/table.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

constexpr double kWidth = 760.0, kHeight = 520.0, kResidualHeight = 380.0;  // px
constexpr double kLargeWidth = 740.0, kSmallWidth = 390.0, kSmallHeight = 216.0, kBetween = 14.0;
constexpr std::size_t kMostGroups = 12;  // more are not worth a legend, and look alike

std::string three_decimals(const char* name, double value) {
  std::string text = format_fixed(value, 3);
  if (text.starts_with('-')) text.replace(0, 1, "−");
  return std::string(name) + " = " + text;
}

std::vector<std::string> notes_of(const Scatter& scatter) {
  std::vector<std::string> notes;
  if (scatter.rho) notes.push_back(three_decimals("Pearson ρ", *scatter.rho));
  if (scatter.rmse) notes.push_back(three_decimals("RMSE", *scatter.rmse));
  return notes;
}

// In the order of their first points.
std::vector<std::string> groups_of(const std::vector<Scatter>& panels) {
  std::vector<std::string> groups;
  for (const Scatter& panel : panels) {
    for (const ScatterPoint& point : panel.points)
      if (std::find(groups.begin(), groups.end(), point.group) == groups.end()) groups.push_back(point.group);
  }
  return groups;
}

std::string tooltip_of(const ScatterPoint& point, const Scatter& scatter) {
  std::string text = point.label + "\n" + scatter.x_title + ": " + format_fixed(point.x, 4) + "\n" + scatter.y_title +
                     ": " + format_fixed(point.y, 4);
  if (const auto line = scatter.fit ? scatter.fit->y_at(point.x) : std::nullopt)
    text += "\noff the line: " + format_fixed(point.y - *line, 4, true);
  if (!point.in_fit) text += "\nnot part of the fit";
  return point.tooltip.empty() ? text : text + "\n" + point.tooltip;
}

std::vector<PointSeries> series_of(const Scatter& scatter, const std::vector<std::string>& groups) {
  std::vector<PointSeries> series;
  const bool named = groups.size() > 1 && groups.size() <= kMostGroups;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    PointSeries one{.name = named ? groups[g] : "", .colour = groups.size() > kMostGroups ? 0 : static_cast<int>(g)};
    for (const ScatterPoint& p : scatter.points) {
      if (p.group != groups[g]) continue;
      one.points.push_back({.at = {p.x, p.y},
                            .x = p.x_interval,
                            .y = p.y_interval,
                            .label = p.label,
                            .tooltip = tooltip_of(p, scatter),
                            .hollow = !p.in_fit});
    }
    if (!one.points.empty()) series.push_back(std::move(one));
  }
  return series;
}

void add_fit(Plot& plot, const FittedLine& fit) {
  LineSeries line{.name = "least squares"};
  BandSeries confidence{.deep = true}, prediction;
  for (const FittedLine::At& at : fit.at) {
    line.points.push_back({at.x, at.y});
    for (const auto& [band, interval] :
         {std::pair{&confidence, at.confidence}, std::pair{&prediction, at.prediction}}) {
      if (!interval) continue;
      band->lower.push_back({at.x, interval->lo});
      band->upper.push_back({at.x, interval->hi});
    }
  }
  plot.lines.push_back(line);
  prediction.name = percent_as_given(fit.level) + " for a new model";
  confidence.name = percent_as_given(fit.level) + " for the line";
  for (BandSeries* band : {&prediction, &confidence})
    if (!band->lower.empty()) plot.bands.push_back(*band);
}

Plot plot_with(const Scatter& scatter, const std::vector<std::string>& groups) {
  Plot plot;
  plot.title = scatter.title;
  plot.x.title = scatter.x_title;
  plot.y.title = scatter.y_title;
  plot.notes = notes_of(scatter);
  plot.points = series_of(scatter, groups);
  if (scatter.fit) add_fit(plot, *scatter.fit);
  return plot;
}

Plot small_plot_with(const Scatter& scatter, const std::vector<std::string>& groups) {
  Plot plot = plot_with(scatter, groups);
  plot.font = 11.0;
  plot.mark = 3.6;
  for (PointSeries& series : plot.points) {
    series.name.clear();
    for (PlotPoint& point : series.points) point.label.clear();
  }
  for (LineSeries& line : plot.lines) line.name.clear();
  for (BandSeries& band : plot.bands) band.name.clear();
  return plot;
}

}  // namespace

std::optional<double> FittedLine::y_at(double x) const {
  if (at.size() < 2 || x < at.front().x || x > at.back().x) return std::nullopt;
  const At &first = at.front(), &last = at.back();
  return first.y + (last.y - first.y) * (x - first.x) / (last.x - first.x);
}

Plot scatter_plot(const Scatter& scatter) { return plot_with(scatter, groups_of({scatter})); }

Plot small_scatter_plot(const Scatter& scatter) { return small_plot_with(scatter, groups_of({scatter})); }

Plot residual_plot(const Scatter& scatter) {
  LMBITS_CHECK(scatter.fit.has_value());
  Scatter residuals = scatter;
  residuals.title = scatter.title + ": distance from the line";
  residuals.y_title = "residual, " + scatter.y_title;
  residuals.fit.reset();
  residuals.rho.reset();
  std::erase_if(residuals.points, [&](const ScatterPoint& p) { return !scatter.fit->y_at(p.x); });
  for (ScatterPoint& p : residuals.points) {
    const double line = *scatter.fit->y_at(p.x);
    if (p.y_interval) p.y_interval = Interval{p.y_interval->lo - line, p.y_interval->hi - line};
    p.y -= line;
    p.x_interval.reset();  // what x could be is not what its residual could be
  }
  Plot plot = plot_with(residuals, groups_of({scatter}));
  plot.references.push_back({0.0, "the line"});
  if (scatter.rmse) {
    plot.references.push_back({*scatter.rmse, "+RMSE"});
    plot.references.push_back({-*scatter.rmse, "−RMSE"});
  }
  return plot;
}

Drawing draw_scatter(const Scatter& scatter) {
  Drawing drawing(kWidth, kHeight, scatter.title);
  draw_plot(drawing, {0, 0, kWidth, kHeight}, scatter_plot(scatter));
  return drawing;
}

Drawing draw_residuals(const Scatter& scatter) {
  const Plot plot = residual_plot(scatter);
  Drawing drawing(kWidth, kResidualHeight, plot.title);
  draw_plot(drawing, {0, 0, kWidth, kResidualHeight}, plot);
  return drawing;
}

Drawing draw_overview(const Scatter& large, const std::vector<Scatter>& small) {
  LMBITS_CHECK(small.size() <= 3);
  std::vector<Scatter> panels{large};
  panels.insert(panels.end(), small.begin(), small.end());
  const std::vector<std::string> groups = groups_of(panels);
  const double height = 3 * kSmallHeight;
  const double left = kLargeWidth + kBetween;
  Drawing drawing(small.empty() ? kLargeWidth : left + kSmallWidth, height, large.title);
  draw_plot(drawing, {0, 0, kLargeWidth, height}, plot_with(large, groups));
  for (std::size_t i = 0; i < small.size(); ++i) {
    const double top = static_cast<double>(i) * kSmallHeight;
    draw_plot(drawing, {left, top, left + kSmallWidth, top + kSmallHeight}, small_plot_with(small[i], groups));
  }
  return drawing;
}

}  // namespace lmbits
