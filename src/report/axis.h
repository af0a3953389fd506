// Where a value lies on paper: one axis' range, its ticks, and the way from units to pixels.
#pragma once
#include <vector>

#include "src/report/plot.h"

namespace lmbits {

class AxisScale {
 public:
  // `from` and `to` are the pixels of the range's ends. Throws std::logic_error where the range is empty, or not positive
  // on a logarithmic scale.
  AxisScale(double lo, double hi, Scale scale);
  void set_pixels(double from, double to) { from_ = from, to_ = to; }

  double lo() const { return lo_; }
  double hi() const { return hi_; }
  bool defined(double value) const;  // finite, and positive on a logarithmic scale
  bool shows(double value) const { return defined(value) && lo_ <= value && value <= hi_; }
  double pixel(double value) const;

 private:
  double lo_, hi_;
  Scale scale_;
  double from_ = 0.0, to_ = 1.0;
};

// Collects what an axis must show.
class AxisRange {
 public:
  explicit AxisRange(Scale scale) : scale_(scale) {}
  void add(double value);
  // The axis' own ends where it gives them, else the values' with a margin of 5 % (of the logarithms, on such a scale).
  AxisScale finished(const Axis& axis) const;

 private:
  Scale scale_;
  std::optional<double> lo_, hi_;
};

// The centres of labels that should lie at `wanted` (ascending) and have `sizes`: as near as possible, without overlap,
// within [lo, hi] if they fit there.
std::vector<double> spread(const std::vector<double>& wanted, const std::vector<double>& sizes, double lo, double hi);

}  // namespace lmbits
