#include "src/report/redundancy_map.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "src/core/error.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kFont = 11.0, kMargin = 12.0, kKeyWidth = 180.0, kKeyHeight = 12.0;
constexpr std::size_t kNameBytes = 20;

std::string shortened(const std::string& name) {
  const std::string clean = printable(name);
  return clean.size() <= kNameBytes ? clean : printable(clean.substr(0, kNameBytes - 3)) + "…";
}

std::string percent(double share) { return format_fixed(100 * share, 0) + " %"; }

std::string heat_class(double share) {
  const double step = std::clamp(std::floor(share * kHeatSteps), 0.0, kHeatSteps - 1.0);
  return "heat-" + std::to_string(static_cast<int>(step));
}

void draw_key(Drawing& drawing, Xy at) {
  const double width = kKeyWidth / kHeatSteps;
  for (int i = 0; i < kHeatSteps; ++i) {
    const double left = at.x + width * i;
    drawing.rectangle({left, at.y, left + width, at.y + kKeyHeight}, "heat-" + std::to_string(i));
  }
  const double baseline = at.y + kKeyHeight + kFont + 2;
  drawing.text({at.x, baseline}, "0 %", {.size = kFont, .classes = "muted"});
  drawing.text({at.x + kKeyWidth, baseline}, "100 %", {.size = kFont, .anchor = Anchor::kEnd, .classes = "muted"});
  drawing.text({at.x + kKeyWidth + kMargin, at.y + kKeyHeight - 1}, "of the column's sample is saved behind the row's",
               {.size = kFont});
}

}  // namespace

std::vector<std::size_t> neighbourly_order(const std::vector<std::vector<double>>& saved) {
  const std::size_t n = saved.size();
  std::vector<std::size_t> order;
  std::vector<bool> is_taken(n);
  const auto bond = [&](std::size_t i, std::size_t j) { return saved[i][j] + saved[j][i]; };
  while (order.size() < n) {
    std::size_t best = n;
    double best_bond = 0.0;
    for (std::size_t j = 0; j < n; ++j) {
      if (is_taken[j]) continue;
      double strength = 0.0;
      if (!order.empty()) {
        strength = bond(order.back(), j);
      } else {
        for (std::size_t i = 0; i < n; ++i) strength += i == j ? 0.0 : bond(i, j);
      }
      if (best == n || strength > best_bond) std::tie(best, best_bond) = std::pair(j, strength);
    }
    is_taken[best] = true;
    order.push_back(best);
  }
  return order;
}

Drawing draw_redundancy_map(const std::vector<std::string>& names, const std::vector<std::vector<double>>& saved) {
  const std::size_t n = names.size();
  LMBITS_CHECK(saved.size() == n && n > 0);
  const double cell = std::clamp(640.0 / static_cast<double>(n), 3.0, 28.0);
  const double font = std::min(kFont, cell - 1);  // names only where a line has room
  const bool has_names = font >= 7.0;
  double name_width = 0.0;
  if (has_names)
    for (const std::string& name : names) name_width = std::max(name_width, text_extent(shortened(name), font) + 6);
  const double side = cell * static_cast<double>(n);
  const Xy origin{kMargin + name_width, 3 * kMargin + kKeyHeight + kFont + name_width};
  const double key_text = text_extent("of the column's sample is saved behind the row's", kFont);
  Drawing drawing(std::max(origin.x + side + kMargin, 3 * kMargin + kKeyWidth + key_text), origin.y + side + kMargin,
                  "Which samples explain each other");
  draw_key(drawing, {kMargin, kMargin});
  for (std::size_t i = 0; i < n; ++i) {
    LMBITS_CHECK(saved[i].size() == n);
    const double top = origin.y + cell * static_cast<double>(i);
    if (has_names) {
      const double middle = cell * static_cast<double>(i) + cell / 2 + font * 0.35;
      drawing.text({origin.x - 4, origin.y + middle}, shortened(names[i]), {.size = font, .anchor = Anchor::kEnd});
      drawing.text({origin.x + middle, origin.y - 4}, shortened(names[i]), {.size = font, .upwards = true});
    }
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const double left = origin.x + cell * static_cast<double>(j);
      drawing.begin(printable(names[j]) + " behind " + printable(names[i]) + ": " + percent(saved[i][j]) + " saved");
      drawing.rectangle({left, top, left + cell, top + cell}, heat_class(saved[i][j]));
      drawing.end();
    }
  }
  return drawing;
}

Drawing draw_ordered_redundancy_map(const std::vector<std::string>& names,
                                    const std::vector<std::vector<double>>& saved) {
  std::vector<std::string> ordered_names;
  std::vector<std::vector<double>> ordered;
  const std::vector<std::size_t> order = neighbourly_order(saved);
  for (const std::size_t i : order) {
    ordered_names.push_back(names[i]);
    ordered.emplace_back();
    for (const std::size_t j : order) ordered.back().push_back(saved[i][j]);
  }
  return draw_redundancy_map(ordered_names, ordered);
}

}  // namespace lmbits
