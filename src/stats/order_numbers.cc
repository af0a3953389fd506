#include "src/stats/order_numbers.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::int32_t sign(double a, double b) { return (a > b) - (a < b); }

std::optional<double> clamped(double r) {
  return std::isfinite(r) ? std::optional(std::clamp(r, -1.0, 1.0)) : std::nullopt;
}

// Pearson's r of ranks. Ranks less their mean are halves, so these sums are exact, as they are in floating point.
std::optional<double> correlation_of(const std::vector<std::int64_t>& twice_x, const std::vector<std::int64_t>& twice_y,
                                     std::span<const std::int32_t> counts, std::int64_t n) {
  std::int64_t xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t dx = twice_x[i] - (n + 1), dy = twice_y[i] - (n + 1);
    xy += counts[i] * dx * dy;
    xx += counts[i] * dx * dx;
    yy += counts[i] * dy * dy;
  }
  if (n < 2 || xx == 0 || yy == 0) return std::nullopt;
  const auto quarter = [](std::int64_t sum) { return 0.25 * static_cast<double>(sum); };
  return clamped(quarter(xy) / std::sqrt(quarter(xx)) / std::sqrt(quarter(yy)));
}

}  // namespace

OrderNumbers::OrderNumbers(std::span<const double> x, std::span<const double> y) : x_(sorted(x)), y_(sorted(y)) {
  LMBITS_CHECK(x.size() == y.size());
  for (std::uint32_t i = 1; i < x.size(); ++i) {
    for (std::uint32_t j = 0; j < i; ++j) {
      signs_.push_back(sign(x[i], x[j]) * sign(y[i], y[j]));
      if (x[i] != x[j]) slopes_.push_back({(y[i] - y[j]) / (x[i] - x[j]), i, j});
    }
  }
  std::sort(slopes_.begin(), slopes_.end(), [](const Slope& a, const Slope& b) { return a.value < b.value; });
}

OrderNumbers::Side OrderNumbers::sorted(std::span<const double> values) {
  Side side;
  side.points.resize(values.size());
  std::iota(side.points.begin(), side.points.end(), 0u);
  std::sort(side.points.begin(), side.points.end(),
            [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
  for (const std::uint32_t point : side.points) side.values.push_back(values[point]);
  for (std::uint32_t k = 1; k <= values.size(); ++k)
    if (k == values.size() || side.values[k] != side.values[k - 1]) side.ends.push_back(k);
  return side;
}

std::int64_t OrderNumbers::twice_ranks(const Side& side, std::span<const std::int32_t> counts,
                                       std::vector<std::int64_t>& ranks) {
  std::int64_t before = 0, tied = 0;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : side.ends) {
    std::int64_t t = 0;
    for (std::uint32_t k = begin; k < end; ++k) t += counts[side.points[k]];
    for (std::uint32_t k = begin; k < end; ++k) ranks[side.points[k]] = 2 * before + 1 + t;
    tied += t * (t - 1) / 2;
    before += t;
    begin = end;
  }
  return before * (before - 1) / 2 - tied;
}

// Of `n` values: the one in the middle, or the mean of the two there.
double OrderNumbers::median(const Side& side, std::span<const std::int32_t> counts, std::int64_t n) {
  std::int64_t seen = 0;
  double below = 0.0;  // the value before
  for (std::size_t k = 0;; ++k) {
    const std::int32_t count = counts[side.points[k]];
    if (count == 0) continue;
    if (seen + count > n / 2) {
      const double upper = side.values[k];
      return n % 2 == 1 ? upper : 0.5 * (upper + (seen < n / 2 ? upper : below));
    }
    seen += count;
    below = side.values[k];
  }
}

double OrderNumbers::median_slope(std::span<const std::int32_t> counts, std::int64_t n_slopes) const {
  std::int64_t seen = 0;
  double below = 0.0;
  for (std::size_t k = 0;; ++k) {
    const Slope& slope = slopes_[k];
    const std::int64_t count = std::int64_t{counts[slope.a]} * counts[slope.b];
    if (count == 0) continue;
    if (seen + count > n_slopes / 2)
      return n_slopes % 2 == 1 ? slope.value : 0.5 * (slope.value + (seen < n_slopes / 2 ? slope.value : below));
    seen += count;
    below = slope.value;
  }
}

std::int64_t OrderNumbers::kendall_score(std::span<const std::int32_t> counts) const {
  std::int64_t score = 0;
  const std::int32_t* signs = signs_.data();
  for (std::size_t i = 1; i < counts.size(); signs += i++) {
    std::int32_t row = 0;
    for (std::size_t j = 0; j < i; ++j) row += signs[j] * counts[j];
    score += std::int64_t{row} * counts[i];
  }
  return score;
}

OrderNumbers::Numbers OrderNumbers::of(std::span<const std::int32_t> counts) const {
  LMBITS_CHECK(counts.size() == x_.values.size());
  Numbers numbers;
  const std::int64_t n = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (n < 2) return numbers;
  std::vector<std::int64_t> twice_x(counts.size()), twice_y(counts.size());
  const std::int64_t x_pairs = twice_ranks(x_, counts, twice_x), y_pairs = twice_ranks(y_, counts, twice_y);
  numbers.spearman = correlation_of(twice_x, twice_y, counts, n);
  numbers.kendall = clamped(static_cast<double>(kendall_score(counts)) /
                            std::sqrt(static_cast<double>(x_pairs) * static_cast<double>(y_pairs)));
  if (x_pairs > 0) {
    const double slope = median_slope(counts, x_pairs);
    numbers.line = TheilSen{slope, median(y_, counts, n) - slope * median(x_, counts, n)};
  }
  return numbers;
}

}  // namespace lmbits
