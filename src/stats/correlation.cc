#include "src/stats/correlation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "src/core/error.h"
#include "src/stats/normal.h"
#include "src/stats/permutation_tests.h"
#include "src/stats/random.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

constexpr std::size_t kEnumerateUpTo = 9;     // 362,880 pairings
constexpr std::size_t kRecurrenceUpTo = 100;  // of Kendall's: n^2 / 2 numbers of inversions

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> centred(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  const double middle = mean(values);
  for (double& value : result) value -= middle;
  return result;
}

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

bool is_constant(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; });
}

std::optional<double> pearson(std::span<const double> x, std::span<const double> y) {
  if (x.size() < 2 || is_constant(x) || is_constant(y)) return std::nullopt;
  const std::vector<double> dx = centred(x), dy = centred(y);
  const double r = dot(dx, dy) / std::sqrt(dot(dx, dx)) / std::sqrt(dot(dy, dy));
  return std::isfinite(r) ? std::optional(std::clamp(r, -1.0, 1.0)) : std::nullopt;
}

// Concordant minus discordant pairs. Without branches, so that it is vectorised.
double kendall_score(std::span<const double> x, std::span<const double> y) {
  int score = 0;
  for (std::size_t i = 1; i < x.size(); ++i) {
    const double xi = x[i], yi = y[i];
    int row = 0;
    for (std::size_t j = 0; j < i; ++j) row += ((xi > x[j]) - (xi < x[j])) * ((yi > y[j]) - (yi < y[j]));
    score += row;
  }
  return score;
}

double pairs_not_tied(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  double pairs = 0.5 * n * (n - 1.0);
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const auto t = static_cast<double>(end - begin);
    pairs -= 0.5 * t * (t - 1.0);
  }
  return pairs;
}

std::optional<double> kendall_tau_b(std::span<const double> x, std::span<const double> y) {
  if (x.size() < 2) return std::nullopt;
  const double tau = kendall_score(x, y) / std::sqrt(pairs_not_tied(x) * pairs_not_tied(y));
  return std::isfinite(tau) ? std::optional(std::clamp(tau, -1.0, 1.0)) : std::nullopt;
}

// P(|S| >= |score|) over all orders of n without ties: the number of inversions of a random order is a sum of
// independent uniform numbers on {0 ... i - 1}, i = 1 ... n.
double kendall_exact_p(std::size_t n, double score) {
  std::vector<double> probability{1.0};
  for (std::size_t i = 2; i <= n; ++i) {
    std::vector<double> next(probability.size() + i - 1, 0.0);
    double window = 0.0;
    for (std::size_t k = 0; k < next.size(); ++k) {
      if (k < probability.size()) window += probability[k];
      if (k >= i) window -= probability[k - i];
      next[k] = window / static_cast<double>(i);
    }
    probability = std::move(next);
  }
  const auto pairs = static_cast<double>(n * (n - 1) / 2);
  const auto fewest = static_cast<std::size_t>(std::lround((pairs - std::abs(score)) / 2.0));
  double tail = 0.0;
  for (std::size_t k = 0; k <= fewest; ++k) tail += probability[k];
  return std::clamp(2.0 * tail - (2 * fewest == n * (n - 1) / 2 ? probability[fewest] : 0.0), 0.0, 1.0);
}

// Ranks that fit 16 bits, eight to a vector register, those after the last one above all: permutation tests spend their
// time on comparing them.
class ShortRanks {
 public:
  static constexpr std::size_t kMost = 16384;

  // Twice the mid-ranks less their mean, which are halves.
  explicit ShortRanks(std::span<const double> centred_ranks)
      : n_(centred_ranks.size()), blocks_((n_ + kLanes - 1) / kLanes) {
    for (Block& block : blocks_) block.fill(std::numeric_limits<std::int16_t>::max());
    for (std::size_t i = 0; i < n_; ++i)
      blocks_[i / kLanes][i % kLanes] = static_cast<std::int16_t>(2.0 * centred_ranks[i]);
  }

  // kendall_score of the same: each pair is counted twice, and each rank is below the places after the last on both sides.
  static double score(const ShortRanks& x, const ShortRanks& y) {
    std::int64_t score = 0;
    for (std::size_t i = 0; i < x.n_; ++i) {
      const std::int16_t xi = x.blocks_[i / kLanes][i % kLanes], yi = y.blocks_[i / kLanes][i % kLanes];
      Block row{};
      for (std::size_t b = 0; b < x.blocks_.size(); ++b) {
        for (std::size_t k = 0; k < kLanes; ++k) {
          const int x_sign = (xi > x.blocks_[b][k]) - (xi < x.blocks_[b][k]);
          const int y_sign = (yi > y.blocks_[b][k]) - (yi < y.blocks_[b][k]);
          row[k] = static_cast<std::int16_t>(row[k] + x_sign * y_sign);
        }
      }
      for (const std::int16_t lane : row) score += lane;
    }
    const std::size_t n_after = x.blocks_.size() * kLanes - x.n_;
    return static_cast<double>((score - static_cast<std::int64_t>(x.n_ * n_after)) / 2);
  }

 private:
  static constexpr std::size_t kLanes = 8;
  using Block = std::array<std::int16_t, kLanes>;
  std::size_t n_;
  std::vector<Block> blocks_;
};

// A statistic of a pairing that grows with the correlation, whose other ingredients no pairing changes.
class PairingStatistic {
 public:
  PairingStatistic(Correlation kind, std::span<const double> x, std::span<const double> y) : kind_(kind) {
    const auto values = [&](std::span<const double> v) {
      return kind == Correlation::kPearson ? centred(v) : centred(mid_ranks(v));
    };
    x_ = values(x);
    y_ = values(y);
    scale_ = std::sqrt(dot(x_, x_) * dot(y_, y_));
    if (kind == Correlation::kKendall && x.size() <= ShortRanks::kMost) short_x_.emplace(x_);
  }

  std::vector<double>& y() { return y_; }

  // As far from 0 as `observed`, up to rounding.
  bool as_far_as(double observed) const {
    return std::abs((*this)()) >= std::abs(observed) - 1e-12 * (kind_ == Correlation::kKendall ? 1.0 : scale_);
  }
  double operator()() const {
    if (short_x_) return ShortRanks::score(*short_x_, ShortRanks(y_));
    return kind_ == Correlation::kKendall ? kendall_score(x_, y_) : dot(x_, y_);
  }

 private:
  Correlation kind_;
  std::vector<double> x_, y_;
  double scale_ = 1.0;
  std::optional<ShortRanks> short_x_;  // for Kendall's
};

PermutationTest enumerate(PairingStatistic statistic) {
  const double observed = statistic();
  std::vector<double>& y = statistic.y();
  const std::vector<double> values = y;
  std::vector<std::size_t> order(y.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t n = 0, n_as_far = 0;
  do {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = values[order[i]];
    ++n;
    n_as_far += statistic.as_far_as(observed);
  } while (std::next_permutation(order.begin(), order.end()));
  return {static_cast<double>(n_as_far) / static_cast<double>(n), true, n};
}

// A statistic that is tested on drawn pairings.
struct DrawnTest {
  PairingStatistic statistic;
  std::int64_t n_permutations;
  double observed = statistic();
  std::int64_t n_as_far = 0;
};

// All tests on the same pairings, the first n_permutations of them.
void draw(std::vector<DrawnTest>& tests, std::size_t n, std::uint64_t seed) {
  std::int64_t most = 0;
  for (const DrawnTest& test : tests) most = std::max(most, test.n_permutations);
  Random random(seed, n);
  std::vector<std::size_t> partners(n);
  for (std::int64_t k = 0; k < most; ++k) {
    for (std::size_t i = n - 1; i > 0; --i) partners[i] = random.below(static_cast<std::uint32_t>(i + 1));
    for (DrawnTest& test : tests) {
      if (k >= test.n_permutations) continue;
      std::vector<double>& y = test.statistic.y();
      for (std::size_t i = n - 1; i > 0; --i) std::swap(y[i], y[partners[i]]);
      test.n_as_far += test.statistic.as_far_as(test.observed);
    }
  }
}

PermutationTest result_of(const DrawnTest& test) {
  const auto n = static_cast<double>(test.n_permutations);
  return {static_cast<double>(1 + test.n_as_far) / (1.0 + n), false, test.n_permutations};
}

bool has_ties(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  return pairs_not_tied(values) < 0.5 * n * (n - 1.0);
}

}  // namespace

std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
  }
  return ranks;
}

std::optional<double> correlation(Correlation kind, std::span<const double> x, std::span<const double> y) {
  LMBITS_CHECK(x.size() == y.size());
  if (kind == Correlation::kKendall) return kendall_tau_b(x, y);
  return kind == Correlation::kPearson ? pearson(x, y) : pearson(mid_ranks(x), mid_ranks(y));
}

std::optional<double> partial_correlation(std::span<const double> x, std::span<const double> y,
                                          std::span<const double> z) {
  const auto xy = pearson(x, y), xz = pearson(x, z), yz = pearson(y, z);
  if (!xy || !xz || !yz) return std::nullopt;
  const double rest = (1.0 - *xz * *xz) * (1.0 - *yz * *yz);
  if (rest < 1e-20) return std::nullopt;
  return std::clamp((*xy - *xz * *yz) / std::sqrt(rest), -1.0, 1.0);
}

std::optional<Interval> fisher_z_interval(Correlation kind, double r, std::size_t n, double level,
                                          std::size_t n_controls) {
  const double df =
      static_cast<double>(n) - (kind == Correlation::kKendall ? 4.0 : 3.0) - static_cast<double>(n_controls);
  if (df <= 0.0 || !(std::abs(r) < 1.0)) return std::nullopt;
  const double factor = kind == Correlation::kPearson    ? 1.0
                        : kind == Correlation::kSpearman ? 1.0 + 0.5 * r * r
                                                         : 0.437;
  const double half = normal_quantile(0.5 * (1.0 + level)) * std::sqrt(factor / df), z = std::atanh(r);
  return Interval{std::tanh(z - half), std::tanh(z + half)};
}

std::optional<double> pearson_t_test(double r, std::size_t n) {
  if (n < 3) return std::nullopt;
  const auto df = static_cast<double>(n - 2);
  return student_t_two_sided(r * std::sqrt(df / ((1.0 - r) * (1.0 + r))), df);
}

std::vector<std::optional<PermutationTest>> permutation_tests(const std::vector<Correlation>& kinds,
                                                              std::span<const double> x, std::span<const double> y,
                                                              std::int64_t n_permutations, std::uint64_t seed) {
  // Kendall's takes n^2 / 2 steps a permutation: fewer of them, where that is dear.
  const auto pairs = static_cast<std::int64_t>(x.size() * x.size() / 2 + 1);
  const std::int64_t affordable = std::max<std::int64_t>(9999, 200'000'000 / pairs);
  std::vector<std::optional<PermutationTest>> results(kinds.size());
  std::vector<DrawnTest> drawn;
  std::vector<std::size_t> places;  // of the drawn ones among the results
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    const bool is_kendall = kinds[k] == Correlation::kKendall;
    if (!correlation(kinds[k], x, y)) continue;
    if (is_kendall && x.size() <= kRecurrenceUpTo && !has_ties(x) && !has_ties(y)) {
      results[k] = PermutationTest{kendall_exact_p(x.size(), kendall_score(x, y)), true, 0};
    } else if (x.size() <= kEnumerateUpTo) {
      results[k] = enumerate(PairingStatistic(kinds[k], x, y));
    } else {
      drawn.push_back(
          {PairingStatistic(kinds[k], x, y), is_kendall ? std::min(n_permutations, affordable) : n_permutations});
      places.push_back(k);
    }
  }
  draw(drawn, x.size(), seed);
  for (std::size_t i = 0; i < drawn.size(); ++i) results[places[i]] = result_of(drawn[i]);
  return results;
}

std::optional<PermutationTest> permutation_test(Correlation kind, std::span<const double> x, std::span<const double> y,
                                                std::int64_t n_permutations, std::uint64_t seed) {
  return permutation_tests({kind}, x, y, n_permutations, seed)[0];
}

}  // namespace lmbits
