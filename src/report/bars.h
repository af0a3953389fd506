// Horizontal bars from zero with intervals: names left, values right.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "src/report/plot.h"

namespace lmbits {

struct Bar {
  std::string label;
  double value = 0.0;  // a bar whose value is not finite or below 0 is left out
  std::optional<Interval> interval = {};
  int colour = 0;  // a series, kInk or kMuted
  std::string tooltip = {};
};

struct BarChart {
  std::string title = {};
  std::string value_title = {};
  int decimals = 3;                                      // of the values beside the bars
  std::vector<std::pair<std::string, int>> legend = {};  // name and colour
  std::vector<Bar> bars = {};
  double font = 12.0;  // px
};

struct BarLayout {
  Box frame;
  std::vector<Box> texts;
};

// What the chart needs at the least to be readable.
double bar_chart_height(const BarChart& chart);

// Draws within `area`. Throws std::logic_error where there is no bar to draw.
BarLayout draw_bars(Drawing& drawing, const Box& area, const BarChart& chart);

}  // namespace lmbits
