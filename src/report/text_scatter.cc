#include "src/report/text_scatter.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/report/rank_report.h"

namespace lmbits {

std::string text_scatter(const PanelResult& result, CompressionMetric by, std::size_t terminal_width) {
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
    const std::string label = r == 0 ? format_fixed(y_hi, 3) : r == kHeight - 1 ? format_fixed(y_lo, 3) : "";
    text += std::string(kMargin - 2 - std::min(kMargin - 2, label.size()), ' ') + label + " │";
    std::string line;
    for (const std::string& cell : field[r]) line += cell;
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  const std::string left = format_fixed(x_lo, 3), right = format_fixed(x_hi, 3), title = metric_words(by);
  std::string axis = left;
  axis += std::string(std::max<std::size_t>(1, (width - title.size()) / 2 - left.size()), ' ') + title;
  axis += std::string(width - std::min(width - 1, axis.size() + right.size()), ' ') + right;
  text += std::string(kMargin - 1, ' ') + "└";
  for (std::size_t c = 0; c < width; ++c) text += "─";
  return text + "\n" + std::string(kMargin, ' ') + axis + "\n";
}

}  // namespace lmbits
