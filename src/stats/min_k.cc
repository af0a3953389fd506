#include "src/stats/min_k.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "src/core/error.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// How often a value of `a` is below one of `b`; both sorted.
double share_below(const std::vector<double>& a, const std::vector<double>& b) {
  double pairs = 0.0;
  std::size_t below = 0, up_to = 0;  // values of a that are < and <= the one of b
  for (const double value : b) {
    while (below < a.size() && a[below] < value) ++below;
    while (up_to < a.size() && a[up_to] <= value) ++up_to;
    pairs += 0.5 * static_cast<double>(below + up_to);
  }
  return pairs / static_cast<double>(a.size()) / static_cast<double>(b.size());
}

std::vector<double> resampled(std::span<const double> values, Random& random) {
  std::vector<double> drawn;
  for (std::size_t i = 0; i < values.size(); ++i)
    drawn.push_back(values[random.below(static_cast<std::uint32_t>(values.size()))]);
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

}  // namespace

double min_k_bits(std::span<const double> bits, double share) {
  LMBITS_CHECK(!bits.empty());
  std::vector<double> dearest(bits.begin(), bits.end());
  const auto n = std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(bits.size())));
  std::nth_element(dearest.begin(), dearest.begin() + static_cast<std::ptrdiff_t>(n - 1), dearest.end(),
                   std::greater<>());
  dearest.resize(n);
  return mean(dearest);
}

SampleComparison compare_samples(std::span<const double> a, std::span<const double> b, double level,
                                 std::int64_t n_resamples, std::uint64_t seed) {
  LMBITS_CHECK(!a.empty() && !b.empty());
  std::vector<double> sorted_a(a.begin(), a.end()), sorted_b(b.begin(), b.end());
  std::sort(sorted_a.begin(), sorted_a.end());
  std::sort(sorted_b.begin(), sorted_b.end());
  SampleComparison result{mean(a), mean(b), mean(b) - mean(a), share_below(sorted_a, sorted_b), {}, {}};
  std::vector<double> differences, shares;
  for (std::int64_t k = 0; k < n_resamples; ++k) {
    Random random(seed, static_cast<std::uint64_t>(k));
    const std::vector<double> drawn_a = resampled(a, random), drawn_b = resampled(b, random);
    differences.push_back(mean(drawn_b) - mean(drawn_a));
    shares.push_back(share_below(drawn_a, drawn_b));
  }
  result.difference_interval =
      bootstrap_interval(std::move(differences), result.difference, 0.0, level, IntervalMethod::kPercentile)
          .value_or(Interval{result.difference, result.difference});
  result.share_interval =
      bootstrap_interval(std::move(shares), result.share_below, 0.0, level, IntervalMethod::kPercentile)
          .value_or(Interval{result.share_below, result.share_below});
  return result;
}

}  // namespace lmbits
