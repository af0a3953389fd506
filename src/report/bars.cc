#include "src/report/bars.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/report/axis.h"
#include "src/report/short_name.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kSmall = 0.88, kRow = 1.7, kLineHeight = 1.45;  // of the font size
constexpr double kGap = 8.0;                                     // px
constexpr double kThickness = 0.66;                              // of a row
constexpr std::size_t kLongestName = 32;                         // terminal cells; tooltips have all of it
constexpr double kWhisker = 3.5;                                 // px, half

bool is_drawn(const Bar& bar) { return std::isfinite(bar.value) && bar.value >= 0.0; }

std::string bar_fill(int colour) {
  return colour == kInk ? "ink" : colour == kMuted ? "axis-fill" : "fill-" + std::to_string(colour % kSeriesColours);
}

double reach(const Bar& bar) { return bar.interval ? std::max(bar.value, bar.interval->hi) : bar.value; }

double header_height(const BarChart& chart) {
  const double line = chart.font * kLineHeight;
  return (chart.title.empty() ? 0.0 : line) + (chart.legend.empty() ? 0.0 : line) + 2 * kGap;
}

double footer_height(const BarChart& chart) {
  return chart.font * kLineHeight * (chart.value_title.empty() ? 1.0 : 2.0) + kGap;
}

class BarPainter {
 public:
  BarPainter(Drawing& drawing, const Box& area, const BarChart& chart)
      : drawing_(drawing), area_(area), chart_(chart), small_(chart.font * kSmall) {
    for (const Bar& bar : chart.bars)
      if (is_drawn(bar)) bars_.push_back(&bar);
    LMBITS_CHECK(!bars_.empty());
  }

  BarLayout draw() {
    lay_out();
    draw_header();
    draw_axis();
    for (std::size_t i = 0; i < bars_.size(); ++i) draw_bar(*bars_[i], i);
    return layout_;
  }

 private:
  void lay_out() {
    double names = 0.0, values = 0.0, longest = 0.0;
    for (const Bar* bar : bars_) {
      names = std::max(names, text_extent(shortened(bar->label, kLongestName), small_));
      values = std::max(values, text_extent(value_text(*bar), small_));
      longest = std::max(longest, reach(*bar));
    }
    hi_ = longest > 0.0 ? longest : 1.0;
    layout_.frame = {area_.left + kGap + names + kGap, area_.top + header_height(chart_),
                     area_.right - values - 2 * kGap, area_.bottom - footer_height(chart_)};
    row_ = layout_.frame.height() / static_cast<double>(bars_.size());
  }

  std::string value_text(const Bar& bar) const { return format_fixed(bar.value, chart_.decimals); }
  double pixel(double value) const { return layout_.frame.left + value / hi_ * layout_.frame.width(); }

  void write(Xy at, const std::string& text, const Lettering& lettering) {
    drawing_.text(at, text, lettering);
    layout_.texts.push_back(text_box(at, text, lettering));
  }

  void draw_header() {
    const double line = chart_.font * kLineHeight;
    double baseline = area_.top + line;
    if (!chart_.title.empty()) {
      write({area_.left + kGap, baseline}, chart_.title, {chart_.font * 1.08, Anchor::kStart, true});
      baseline += line;
    }
    double left = area_.left + kGap;
    for (const auto& [name, colour] : chart_.legend) {
      drawing_.rectangle({left, baseline - small_ * 0.8, left + 14, baseline + small_ * 0.1}, bar_fill(colour), 1.5);
      write({left + 19, baseline}, name, {small_});
      left += 19 + text_extent(name, small_) + 2 * kGap;
    }
  }

  void draw_axis() {
    const Box& f = layout_.frame;
    for (const Tick& tick :
         ticks(0.0, hi_, Scale::kLinear, std::max(2, static_cast<int>(f.width() / 120)), Notation::kPlain)) {
      const double x = pixel(tick.value);
      drawing_.line({x, f.top}, {x, f.bottom}, tick.value == 0.0 ? "axis" : "grid");
      write({x, f.bottom + small_ * 1.3}, tick.label, {small_, Anchor::kMiddle, false, "muted"});
    }
    if (!chart_.value_title.empty())
      write({f.centre().x, area_.bottom - kGap}, chart_.value_title, {chart_.font, Anchor::kMiddle});
  }

  void draw_bar(const Bar& bar, std::size_t i) {
    const Box& f = layout_.frame;
    const double middle = f.top + (static_cast<double>(i) + 0.5) * row_, half = row_ * kThickness / 2;
    const double baseline = middle + small_ * 0.36;
    write({f.left - kGap, baseline}, shortened(bar.label, kLongestName), {small_, Anchor::kEnd});
    drawing_.begin(bar.tooltip, bar.label);
    drawing_.rectangle({f.left, middle - half, pixel(bar.value), middle + half}, bar_fill(bar.colour), 1.5);
    if (bar.interval) {
      const double lo = pixel(std::clamp(bar.interval->lo, 0.0, hi_)), hi = pixel(std::min(bar.interval->hi, hi_));
      drawing_.line({lo, middle}, {hi, middle}, "ink-line");
      for (const double end : {lo, hi}) drawing_.line({end, middle - kWhisker}, {end, middle + kWhisker}, "ink-line");
    }
    drawing_.end();
    write({pixel(reach(bar)) + kGap, baseline}, value_text(bar), {small_, Anchor::kStart, false, "muted"});
  }

  Drawing& drawing_;
  Box area_;
  const BarChart& chart_;
  double small_;
  std::vector<const Bar*> bars_;
  double hi_ = 1.0, row_ = 0.0;
  BarLayout layout_;
};

}  // namespace

double bar_chart_height(const BarChart& chart) {
  const auto n = static_cast<double>(std::count_if(chart.bars.begin(), chart.bars.end(), is_drawn));
  return header_height(chart) + n * chart.font * kRow + footer_height(chart);
}

BarLayout draw_bars(Drawing& drawing, const Box& area, const BarChart& chart) {
  return BarPainter(drawing, area, chart).draw();
}

}  // namespace lmbits
