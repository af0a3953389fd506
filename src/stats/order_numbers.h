// The numbers of a sample that depend on nothing but the order of its values and the slopes of its pairs, for thousands of
// its bootstrap resamples: what sorting makes of the sample is kept, and a resample is counts of its points.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/regression.h"

namespace lmbits {

class OrderNumbers {
 public:
  // n points take 20 bytes a pair.
  OrderNumbers(std::span<const double> x, std::span<const double> y);

  struct Numbers {
    std::optional<double> spearman, kendall;
    std::optional<TheilSen> line;
  };
  // Of the sample that has point i counts[i] times, counts[i] >= 0: to the last bit what correlation() and theil_sen() make
  // of it in any order, because all that they round is rounded here (but for the sign of a slope of 0).
  Numbers of(std::span<const std::int32_t> counts) const;

 private:
  // One side's values in ascending order.
  struct Side {
    std::vector<double> values;
    std::vector<std::uint32_t> points;  // of each value
    std::vector<std::uint32_t> ends;    // of each group of equal values
  };
  struct Slope {
    double value;
    std::uint32_t a, b;  // points
  };

  static Side sorted(std::span<const double> values);
  // Twice the points' ranks among the resample's, ties at their mean rank. Returns the pairs that are not tied.
  static std::int64_t twice_ranks(const Side& side, std::span<const std::int32_t> counts,
                                  std::vector<std::int64_t>& ranks);
  static double median(const Side& side, std::span<const std::int32_t> counts, std::int64_t n);
  double median_slope(std::span<const std::int32_t> counts, std::int64_t n_slopes) const;
  std::int64_t kendall_score(std::span<const std::int32_t> counts) const;

  Side x_, y_;
  std::vector<std::int32_t> signs_;  // of (x_i - x_j) (y_i - y_j), j < i, row after row
  std::vector<Slope> slopes_;        // of pairs whose x differ, ascending
};

}  // namespace lmbits
