#include "src/stats/settling.h"

#include <gtest/gtest.h>

#include <numeric>

#include "src/stats/correlation.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

// Models whose bits a byte are 1, 1 + gap, 1 + 2 gap ..., with noise of their own on each of n units.
PairedUnits units_of(std::size_t n_units, std::size_t n_models, double gap, double noise) {
  PairedUnits units{std::vector<double>(n_units, 1000.0),
                    std::vector<std::vector<double>>(n_models, std::vector<double>(n_units))};
  Random random(4, 0);
  for (std::size_t m = 0; m < n_models; ++m)
    for (double& bits : units.bits[m])
      bits = 1000.0 * (1.0 + gap * static_cast<double>(m) + noise * (random.uniform() - 0.5));
  return units;
}

std::vector<double> falling_scores(std::size_t n_models) {
  std::vector<double> y;
  for (std::size_t m = 0; m < n_models; ++m)
    y.push_back(0.8 - 0.05 * static_cast<double>(m) + (m % 2 == 0 ? 0.01 : -0.01));
  return y;
}

TEST(Settling, EndsAtAllOfTheTextWithTheFinalNumbers) {
  const PairedUnits units = units_of(50, 6, 0.05, 0.5);
  const std::vector<double> y = falling_scores(6);
  const Settling s = settle(units, y, {.n_orders = 100});
  EXPECT_DOUBLE_EQ(s.weight, 50000.0);
  std::vector<double> values;
  for (const auto& bits : units.bits) values.push_back(std::accumulate(bits.begin(), bits.end(), 0.0) / 50000.0);
  EXPECT_DOUBLE_EQ(*s.r, *correlation(Correlation::kPearson, values, y));
  EXPECT_NEAR(s.curve.back().r->median, *s.r, 1e-12);
  EXPECT_NEAR(s.curve.back().r->range.lo, *s.r, 1e-12);
  EXPECT_DOUBLE_EQ(s.curve.back().tau.median, 1.0);
  EXPECT_DOUBLE_EQ(s.curve.back().weight, 50000.0);
  EXPECT_DOUBLE_EQ(s.curve.front().weight, 1000.0);
  EXPECT_TRUE(s.r_by_text->contains(*s.r));
}

TEST(Settling, IsAtOnceWithoutNoise) {
  const Settling s = settle(units_of(40, 5, 0.1, 0.0), falling_scores(5), {.n_orders = 50});
  EXPECT_DOUBLE_EQ(s.r_settled->median, 1000.0);
  EXPECT_DOUBLE_EQ(s.order_settled.range.hi, 1000.0);
}

TEST(Settling, TakesLongerWhereModelsAreCloser) {
  const SettlingOptions options{.n_orders = 200};
  const Settling far = settle(units_of(200, 6, 0.1, 0.6), falling_scores(6), options);
  const Settling close = settle(units_of(200, 6, 0.02, 0.6), falling_scores(6), options);
  EXPECT_GT(close.order_settled.median, 3.0 * far.order_settled.median);
  EXPECT_GT(close.r_settled->median, 3.0 * far.r_settled->median);
  EXPECT_LE(close.r_settled->range.lo, close.r_settled->median);
  EXPECT_GE(close.r_settled->range.hi, close.r_settled->median);
}

// By the definition, an order at a time, on all prefixes.
TEST(Settling, IsTheFirstPrefixFromWhichItStays) {
  const PairedUnits units = units_of(12, 4, 0.05, 0.6);
  const SettlingOptions options{.tau_tolerance = 0.0, .n_orders = 21, .seed = 9};
  std::vector<double> settled;
  for (int k = 0; k < options.n_orders; ++k) {
    std::vector<std::size_t> order(12);
    std::iota(order.begin(), order.end(), std::size_t{0});
    Random random(options.seed, static_cast<std::uint64_t>(k));
    for (std::size_t i = 11; i > 0; --i) std::swap(order[i], order[random.below(static_cast<std::uint32_t>(i + 1))]);
    const auto sums = [&](std::size_t n) {
      std::vector<double> total(4, 0.0);
      for (std::size_t u = 0; u < n; ++u)
        for (std::size_t m = 0; m < 4; ++m) total[m] += units.bits[m][order[u]];
      return total;
    };
    std::size_t first = 12;
    for (std::size_t n = 12; n > 0 && *correlation(Correlation::kKendall, sums(n), sums(12)) == 1.0; --n) first = n;
    settled.push_back(1000.0 * static_cast<double>(first));
  }
  std::sort(settled.begin(), settled.end());
  EXPECT_DOUBLE_EQ(settle(units, {}, options).order_settled.median, settled[10]);
}

TEST(Settling, OfTheOrderAloneNeedsNoScores) {
  const Settling s = settle(units_of(20, 3, 0.05, 0.3), {}, {.n_orders = 30, .n_threads = 2});
  EXPECT_FALSE(s.r);
  EXPECT_FALSE(s.r_settled);
  EXPECT_FALSE(s.curve[0].r);
  EXPECT_GT(s.order_settled.median, 0.0);
  const Settling constant = settle(units_of(20, 3, 0.05, 0.3), std::vector<double>(3, 0.5), {.n_orders = 30});
  EXPECT_FALSE(constant.r);
}

}  // namespace
}  // namespace lmbits
