// Two numbers of each model against each other, with the line fitted through them: the picture of a correlation.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "src/report/plot.h"
#include "src/report/svg.h"
#include "src/stats/bootstrap.h"

namespace lmbits {

struct ScatterPoint {
  std::string label, group;  // models of one group look alike
  double x = 0.0, y = 0.0;
  std::optional<Interval> x_interval = {}, y_interval = {};
  bool in_fit = true;  // else hollow: shown, but not what the line is fitted to
  std::string tooltip = {};
};

// A fitted line and its bands, computed elsewhere, at ascending x.
struct FittedLine {
  struct At {
    double x = 0.0, y = 0.0;
    std::optional<Interval> confidence = {}, prediction = {};
  };
  std::vector<At> at;
  double level = 0.95;  // of the bands

  std::optional<double> y_at(double x) const;  // between its ends; nullopt beyond them
};

struct Scatter {
  std::string title, x_title, y_title;
  std::vector<ScatterPoint> points;
  std::optional<FittedLine> fit = {};
  std::optional<double> rho = {}, rmse = {};  // in the legend's box, to three decimals
};

// All models with their names, the line, its bands, the legend.
Plot scatter_plot(const Scatter& scatter);
// The points' distances from the line, over x, with +-rmse. Throws std::logic_error without a fit.
Plot residual_plot(const Scatter& scatter);
// Small: without names, groups or bands' names.
Plot small_scatter_plot(const Scatter& scatter);

Drawing draw_scatter(const Scatter& scatter);
Drawing draw_residuals(const Scatter& scatter);
// One large panel, up to three small ones beside it; groups look the same in all of them.
Drawing draw_overview(const Scatter& large, const std::vector<Scatter>& small);

}  // namespace lmbits
