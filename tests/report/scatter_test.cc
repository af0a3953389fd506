#include "src/report/scatter.h"

#include <gtest/gtest.h>

namespace lmbits {
namespace {

// y = 10 - 2 x, with one point above, one below, one left out of the fit.
Scatter some_scatter() {
  Scatter scatter;
  scatter.title = "knowledge";
  scatter.x_title = "bits per char";
  scatter.y_title = "score";
  scatter.points = {{.label = "a-1", .group = "a", .x = 1.0, .y = 8.5},
                    {.label = "a-2", .group = "a", .x = 2.0, .y = 5.5},
                    {.label = "b-1", .group = "b", .x = 3.0, .y = 4.0, .y_interval = Interval{3.0, 5.0}},
                    {.label = "b-2", .group = "b", .x = 2.5, .y = 9.0, .in_fit = false}};
  FittedLine fit;
  for (const double x : {1.0, 2.0, 3.0})
    fit.at.push_back({x, 10 - 2 * x, Interval{9.5 - 2 * x, 10.5 - 2 * x}, Interval{8 - 2 * x, 12 - 2 * x}});
  scatter.fit = fit;
  scatter.rho = -0.93149;
  scatter.rmse = 0.0314;
  return scatter;
}

TEST(Scatter, LegendSaysRhoAndRmseToThreeDecimals) {
  EXPECT_EQ(scatter_plot(some_scatter()).notes, (std::vector<std::string>{"Pearson ρ = −0.931", "RMSE = 0.031"}));
}

TEST(Scatter, HasTheLineAndBothBands) {
  const Plot plot = scatter_plot(some_scatter());
  ASSERT_EQ(plot.lines.size(), 1u);
  ASSERT_EQ(plot.bands.size(), 2u);
  EXPECT_EQ(plot.bands[0].name, "95 % for a new model");
  EXPECT_EQ(plot.bands[1].name, "95 % for the line");
  EXPECT_LT(plot.bands[0].lower[0].y, plot.bands[1].lower[0].y);
}

TEST(Scatter, ModelsOfOneGroupLookAlikeAndThoseLeftOutAreHollow) {
  const Plot plot = scatter_plot(some_scatter());
  ASSERT_EQ(plot.points.size(), 2u);
  EXPECT_EQ(plot.points[0].name, "a");
  EXPECT_NE(plot.points[0].colour, plot.points[1].colour);
  EXPECT_FALSE(plot.points[1].points[0].hollow);
  EXPECT_TRUE(plot.points[1].points[1].hollow);
  EXPECT_NE(plot.points[1].points[1].tooltip.find("not part of the fit"), std::string::npos);
}

TEST(Scatter, TooltipsSayTheDistanceFromTheLine) {
  EXPECT_NE(scatter_plot(some_scatter()).points[0].points[0].tooltip.find("off the line: +0.5000"), std::string::npos);
}

TEST(Residuals, AreDistancesFromTheLine) {
  const Plot plot = residual_plot(some_scatter());
  EXPECT_DOUBLE_EQ(plot.points[0].points[0].at.y, 0.5);
  EXPECT_DOUBLE_EQ(plot.points[0].points[1].at.y, -0.5);
  EXPECT_DOUBLE_EQ(plot.points[1].points[0].y->lo, -1.0);
  EXPECT_DOUBLE_EQ(plot.points[1].points[0].y->hi, 1.0);
  EXPECT_EQ(plot.references.size(), 3u);
}

TEST(Residuals, NeedAFit) {
  Scatter scatter = some_scatter();
  scatter.fit.reset();
  EXPECT_THROW(residual_plot(scatter), std::logic_error);
}

TEST(FittedLine, IsUndefinedBeyondItsEnds) {
  const Scatter scatter = some_scatter();
  EXPECT_DOUBLE_EQ(*scatter.fit->y_at(1.5), 7.0);
  EXPECT_FALSE(scatter.fit->y_at(0.9));
  EXPECT_FALSE(FittedLine{}.y_at(1.0));
}

TEST(Overview, DrawsUpToThreeSmallPanels) {
  const Scatter s = some_scatter();
  EXPECT_NO_THROW(draw_overview(s, {s, s, s}));
  EXPECT_NO_THROW(draw_overview(s, {}));
  EXPECT_THROW(draw_overview(s, {s, s, s, s}), std::logic_error);
}

TEST(Overview, SmallPanelsHaveNoNamesButTooltips) {
  const Plot plot = small_scatter_plot(some_scatter());
  for (const PointSeries& series : plot.points) {
    EXPECT_TRUE(series.name.empty());
    for (const PlotPoint& point : series.points) {
      EXPECT_TRUE(point.label.empty());
      EXPECT_FALSE(point.tooltip.empty());
    }
  }
  EXPECT_EQ(plot.notes.size(), 2u);
}

}  // namespace
}  // namespace lmbits
