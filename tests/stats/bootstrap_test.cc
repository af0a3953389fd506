#include "src/stats/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/stats/normal.h"
#include "src/stats/random.h"
#include "src/stats/ranking.h"

namespace lmbits {
namespace {

PairedUnits random_units(std::size_t n_units, std::size_t n_models, std::uint64_t seed) {
  PairedUnits units{std::vector<double>(n_units),
                    std::vector<std::vector<double>>(n_models, std::vector<double>(n_units))};
  Random random(seed, 0);
  for (double& w : units.weight) w = 1.0 + random.below(5000);
  for (auto& bits : units.bits) {
    for (std::size_t u = 0; u < n_units; ++u) bits[u] = units.weight[u] * (1.0 + random.uniform());
  }
  return units;
}

// Draws and sums as the header's equation says, one resample at a time.
Resamples resample_slowly(const PairedUnits& units, std::size_t n, std::uint64_t seed, std::uint64_t stream) {
  Resamples result{std::vector<double>(n), std::vector<std::vector<double>>(units.bits.size(), std::vector<double>(n))};
  const auto n_units = static_cast<std::uint32_t>(units.weight.size());
  for (std::size_t b = 0; b < n; ++b) {
    Random random(seed, (stream << 32) + b);
    for (std::uint32_t i = 0; i < n_units; ++i) {
      const std::uint32_t u = random.below(n_units);
      result.weight[b] += units.weight[u];
      for (std::size_t m = 0; m < units.bits.size(); ++m) result.bits[m][b] += units.bits[m][u];
    }
  }
  return result;
}

TEST(Resample, IsTheSlowDefinition) {
  for (const std::size_t n_models : {1u, 7u, 8u, 20u}) {         // around the tiles' 8 columns
    for (const std::size_t n_resamples : {1u, 2u, 63u, 130u}) {  // odd, and around a task's 64 rows
      const PairedUnits units = random_units(37, n_models, 1);
      const Resamples fast = resample(units, static_cast<std::int64_t>(n_resamples), 5, 2, 2);
      const Resamples slow = resample_slowly(units, n_resamples, 5, 2);
      for (std::size_t b = 0; b < n_resamples; ++b) {
        ASSERT_NEAR(fast.weight[b], slow.weight[b], 1e-9 * slow.weight[b]);
        for (std::size_t m = 0; m < n_models; ++m)
          ASSERT_NEAR(fast.bits[m][b], slow.bits[m][b], 1e-9 * slow.bits[m][b]);
      }
    }
  }
}

TEST(Resample, IsTheSameAtAnyThreadCount) {
  const PairedUnits units = random_units(50, 9, 3);
  const Resamples alone = resample(units, 501, 1, 0, 1);
  for (const int n_threads : {2, 3, 8}) {
    const Resamples together = resample(units, 501, 1, 0, n_threads);
    EXPECT_EQ(alone.weight, together.weight);
    EXPECT_EQ(alone.bits, together.bits);
  }
}

TEST(Resample, OfOneModelDoesNotDependOnTheOthers) {
  const PairedUnits units = random_units(50, 20, 3);
  const Resamples all = resample(units, 200, 1, 0, 1);
  const Resamples last = resample({units.weight, {units.bits.back()}}, 200, 1, 0, 1);
  EXPECT_EQ(all.bits.back(), last.bits[0]);
}

TEST(Resample, ReproducesFromItsSeedAndDiffersBetweenSeedsAndStreams) {
  const PairedUnits units = random_units(20, 1, 3);
  const auto weights = [&](std::uint64_t seed, std::uint64_t stream) {
    return resample(units, 100, seed, stream, 1).weight;
  };
  EXPECT_EQ(weights(1, 0), weights(1, 0));
  EXPECT_NE(weights(1, 0), weights(2, 0));
  EXPECT_NE(weights(1, 0), weights(1, 1));
}

TEST(BootstrapInterval, PercentilesAreTheInterpolatedOrderStatistics) {
  std::vector<double> replicates(101);
  std::iota(replicates.rbegin(), replicates.rend(), 0.0);
  const auto interval = bootstrap_interval(replicates, 50.0, 0.0, 0.9, IntervalMethod::kPercentile);
  ASSERT_TRUE(interval);
  EXPECT_NEAR(interval->lo, 5.0, 1e-9);
  EXPECT_NEAR(interval->hi, 95.0, 1e-9);
  const auto between = bootstrap_interval({0.0, 1.0}, 0.5, 0.0, 0.5, IntervalMethod::kPercentile);
  EXPECT_NEAR(between->lo, 0.25, 1e-12);
  EXPECT_NEAR(between->hi, 0.75, 1e-12);
}

// Also where a sixteenth of them, from which bounds are guessed, lies on one side of all others, or nearly all are equal.
TEST(BootstrapInterval, OrderStatisticsAreThoseOfASortWhateverTheReplicates) {
  for (const std::size_t n : {1u, 2u, 3u, 40u, 999u, 10000u}) {
    for (int kind = 0; kind < 5; ++kind) {
      Random random(3, n + static_cast<std::size_t>(kind));
      std::vector<double> replicates(n);
      for (std::size_t i = 0; i < n; ++i) {
        const double u = random.uniform(), far = i % 16 == 0 ? 10.0 : 0.0;
        replicates[i] = kind == 0   ? u
                        : kind == 1 ? u + far
                        : kind == 2 ? u - far
                        : kind == 3 ? std::floor(3.0 * u)
                                    : static_cast<double>(i);
      }
      std::vector<double> sorted = replicates;
      std::sort(sorted.begin(), sorted.end());
      const auto at = [&](double p) {
        const double position = p * static_cast<double>(n - 1);
        const auto below = static_cast<std::size_t>(position);
        const double share = position - static_cast<double>(below);
        return share == 0.0 ? sorted[below] : sorted[below] + share * (sorted[below + 1] - sorted[below]);
      };
      for (const double level : {0.001, 0.5, 0.9, 0.95, 0.999, 0.99999}) {
        const auto interval = bootstrap_interval(replicates, 0.5, 0.0, level, IntervalMethod::kPercentile);
        EXPECT_EQ(interval->lo, at(0.5 * (1.0 - level))) << n << " " << kind << " " << level;
        EXPECT_EQ(interval->hi, at(0.5 * (1.0 + level))) << n << " " << kind << " " << level;
      }
    }
  }
}

TEST(BootstrapInterval, BcaIsThePercentileIntervalWithoutBiasAndSkewness) {
  std::vector<double> replicates(101);
  std::iota(replicates.begin(), replicates.end(), 0.0);
  const auto interval = bootstrap_interval(replicates, 50.0, 0.0, 0.9, IntervalMethod::kBca);
  EXPECT_NEAR(interval->lo, 5.0, 1e-9);
  EXPECT_NEAR(interval->hi, 95.0, 1e-9);
}

TEST(BootstrapInterval, BcaMovesWithBiasAndSkewnessByTheBooksFormula) {
  std::vector<double> replicates(100001);
  std::iota(replicates.begin(), replicates.end(), 0.0);
  const double bias = 0.2, a = 0.05, z = 1.959963984540054;
  const double estimate = 100000.0 * normal_cdf(bias);
  const auto interval = bootstrap_interval(replicates, estimate, a, 0.95, IntervalMethod::kBca);
  EXPECT_NEAR(interval->lo / 1e5, normal_cdf(bias + (bias - z) / (1 - a * (bias - z))), 1e-4);
  EXPECT_NEAR(interval->hi / 1e5, normal_cdf(bias + (bias + z) / (1 - a * (bias + z))), 1e-4);
}

// Beyond the pole of the formula the upper end once lay below the lower one.
TEST(BootstrapInterval, BcaStaysInOrderUnderStrongBiasAndSkewness) {
  std::vector<double> replicates(10001);
  std::iota(replicates.begin(), replicates.end(), 0.0);
  for (const double bias : {-3.0, -1.0, 1.0, 3.0}) {
    for (const double a : {-0.3, -0.16, 0.16, 0.3}) {
      const auto interval = bootstrap_interval(replicates, 10000.0 * normal_cdf(bias), a, 0.9999, IntervalMethod::kBca);
      EXPECT_LT(interval->lo, interval->hi) << bias << " " << a;
      const double z = normal_quantile(0.99995);
      if (1.0 - a * (bias + z) <= 0.0) {
        EXPECT_EQ(interval->hi, 10000.0) << bias << " " << a;
      }
      if (1.0 - a * (bias - z) <= 0.0) {
        EXPECT_EQ(interval->lo, 0.0) << bias << " " << a;
      }
    }
  }
}

TEST(BootstrapInterval, IsUndefinedWhereAReplicateIs) {
  EXPECT_FALSE(bootstrap_interval({}, 0.0, 0.0, 0.95, IntervalMethod::kBca));
  EXPECT_FALSE(bootstrap_interval({1.0, NAN, 2.0}, 1.0, 0.0, 0.95, IntervalMethod::kBca));
  EXPECT_FALSE(bootstrap_interval({1.0, INFINITY}, 1.0, 0.0, 0.95, IntervalMethod::kPercentile));
}

// Of a mean they are (x - mean) / n: positive where a point pulls the estimate up, so that the acceleration has the
// skewness' sign.
TEST(CentreJackknife, GivesTheInfluencesOfAMean) {
  std::vector<double> left_out = {1.5, 1.5, 0.0};  // means of 0, 0, 3 without one of them
  centre_jackknife(left_out);
  EXPECT_DOUBLE_EQ(left_out[0], -1.0 / 3.0);
  EXPECT_DOUBLE_EQ(left_out[2], 2.0 / 3.0);
  EXPECT_GT(acceleration(left_out), 0.0);
}

TEST(Acceleration, IsASixthOfTheSkewnessOverTheRootOfN) {
  // 0 is symmetric; one unit of n with all the influence has the largest value there is, 1/6.
  EXPECT_DOUBLE_EQ(acceleration({-1.0, 0.0, 1.0}), 0.0);
  EXPECT_DOUBLE_EQ(acceleration({0.0, 0.0, 2.0}), 1.0 / 6.0);
  EXPECT_DOUBLE_EQ(acceleration({0.0, 0.0}), 0.0);
}

// Documents of skewed length whose cost a byte is random and heavier for short ones: the ratio's true value is known from
// the two means. Returns how many of n intervals hold it.
int n_covering(int n, std::size_t n_units, IntervalMethod method) {
  const double truth = (4.0 * 2.0 + 0.5) / 4.0;  // E[bits] / E[bytes], with the factors below
  int covering = 0;
  for (int i = 0; i < n; ++i) {
    Random random(99, static_cast<std::uint64_t>(i));
    PairedUnits units{std::vector<double>(n_units), {std::vector<double>(n_units)}};
    for (std::size_t u = 0; u < n_units; ++u) {
      const double length = -4.0 * std::log1p(-random.uniform());  // exponential, mean 4
      units.weight[u] = length;
      units.bits[0][u] = length * (1.5 + random.uniform()) + random.uniform();  // 2 a byte and 0.5 a document
    }
    const Resamples resamples = resample(units, 1000, 7, static_cast<std::uint64_t>(i), 2);
    const Strata strata{{{units.weight, units.bits[0], resamples.weight, resamples.bits[0], 0}}};
    const auto interval = interval_of(statistic(strata, 0, Metric::kBitsPerByte, Pooling::kMicro), 0.95, method);
    covering += interval->contains(truth);
  }
  return covering;
}

TEST(Bootstrap, CoversTheTruthAsOftenAsItSays) {
  for (const IntervalMethod method : {IntervalMethod::kBca, IntervalMethod::kPercentile}) {
    const int covering = n_covering(400, 60, method);
    EXPECT_GE(covering, 0.92 * 400);
    EXPECT_LE(covering, 0.97 * 400);
  }
}

TEST(DefaultResamples, AreTenThousandUntilThatCostsTooMuch) {
  EXPECT_EQ(default_resamples(20, 600), 10000);
  EXPECT_EQ(default_resamples(1, 2), 10000);
  EXPECT_EQ(default_resamples(500, 100000), 1000);
}

}  // namespace
}  // namespace lmbits
