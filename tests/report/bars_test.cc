#include "src/report/bars.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lmbits {
namespace {

BarChart some_chart() {
  BarChart chart;
  chart.title = "prose";
  chart.value_title = "bits/byte";
  chart.legend = {{"models", 0}, {"compressors", kMuted}};
  for (int i = 0; i < 20; ++i)
    chart.bars.push_back({"model-" + std::to_string(i), 1.0 + 0.1 * i, Interval{0.9 + 0.1 * i, 1.2 + 0.1 * i}});
  chart.bars.push_back({"gzip-9", 2.9, std::nullopt, kMuted});
  return chart;
}

TEST(Bars, NoTextsOverlapAndAllStayInside) {
  const BarChart chart = some_chart();
  for (const double width : {400.0, 760.0}) {
    const Box area{0, 0, width, bar_chart_height(chart)};
    Drawing drawing(width, area.bottom, "bars");
    const BarLayout layout = draw_bars(drawing, area, chart);
    for (std::size_t i = 0; i < layout.texts.size(); ++i) {
      EXPECT_TRUE(area.contains(layout.texts[i])) << i;
      for (std::size_t k = 0; k < i; ++k) EXPECT_FALSE(layout.texts[i].overlaps(layout.texts[k])) << i << " " << k;
    }
  }
}

TEST(Bars, NamesAsLongAsAPathLeaveRoomForTheBars) {
  BarChart chart = some_chart();
  chart.bars[0].label = std::string(300, 'x');
  const Box area{0, 0, 600, bar_chart_height(chart)};
  Drawing drawing(600, area.bottom, "bars");
  EXPECT_GT(draw_bars(drawing, area, chart).frame.width(), 200.0);
  EXPECT_NE(drawing.svg(Look::kInline).find("data-name=\"" + chart.bars[0].label), std::string::npos);
}

TEST(Bars, WhatIsUndefinedIsLeftOut) {
  BarChart chart;
  chart.bars = {{"a", 1.0}, {"b", std::nan("")}, {"c", -1.0}};
  Drawing drawing(400, 200, "bars");
  draw_bars(drawing, {0, 0, 400, 200}, chart);
  const std::string svg = drawing.svg(Look::kInline);
  EXPECT_NE(svg.find(">a<"), std::string::npos);
  EXPECT_EQ(svg.find(">b<"), std::string::npos);
  EXPECT_EQ(svg.find(">c<"), std::string::npos);
  EXPECT_THROW(draw_bars(drawing, {0, 0, 400, 200}, BarChart{}), std::logic_error);
}

TEST(Bars, AreAllZeroWhereAllValuesAre) {
  BarChart chart;
  chart.bars = {{"a", 0.0}, {"b", 0.0}};
  Drawing drawing(400, 200, "bars");
  EXPECT_NO_THROW(draw_bars(drawing, {0, 0, 400, 200}, chart));
}

}  // namespace
}  // namespace lmbits
