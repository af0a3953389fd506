#include "kernels/cdf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/guarded_pages.h"

namespace lmbits::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<Isa> isas() {
  std::vector<Isa> found;
  for (const Isa isa : kAllIsas) {
    if (isa_available(isa)) found.push_back(isa);
  }
  return found;
}

std::vector<float> random_logits(std::int64_t n, float spread, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(static_cast<std::size_t>(n));
  for (float& x : logits) x = normal(random);
  return logits;
}

TEST(Cdf, PrecisionLeavesRoomBelowTheCodersTotal) {
  EXPECT_EQ(cdf_precision(1), 40);
  EXPECT_EQ(cdf_precision(2), 40);
  EXPECT_EQ(cdf_precision(1 << 14), 40);
  EXPECT_EQ(cdf_precision((1 << 14) + 1), 39);
  EXPECT_EQ(cdf_precision(131072), 37);
  EXPECT_EQ(cdf_precision(262144), 36);
  EXPECT_EQ(cdf_precision(kMaxCdfVocab), 32);
  for (std::int64_t n = 1; n <= kMaxCdfVocab; n = 2 * n + 1) {
    const double total = static_cast<double>(n) * (std::ldexp(1.0, cdf_precision(n)) + 1);
    EXPECT_LT(total, std::ldexp(1.0, 55)) << n;
  }
}

TEST(Cdf, WeightsAreTheReferencesUpToRounding) {
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {1, 2, 3, 15, 16, 17, 63, 64, 65, 257, 2047, 2048, 2049, 50257}) {
      for (const float spread : {0.0F, 1.0F, 10.0F, 40.0F}) {
        const std::vector<float> logits = random_logits(n, spread, static_cast<unsigned>(n));
        const float max = *std::max_element(logits.begin(), logits.end());
        std::vector<std::uint64_t> weights(logits.size()), expected(logits.size());
        const std::uint64_t total = cdf_weights(isa, logits.data(), n, weights.data());
        cdf_weights_reference(logits.data(), n, expected.data());
        ASSERT_EQ(total, std::accumulate(weights.begin(), weights.end(), std::uint64_t{0}));
        for (std::size_t v = 0; v < weights.size(); ++v) {
          ASSERT_GE(weights[v], 1U);
          const double error = std::abs(static_cast<double>(weights[v]) - static_cast<double>(expected[v]));
          // x - max is rounded to fp32, too (half a unit of its last place), and so is log2(e) in the exponential.
          const double below = double{max} - logits[v];
          ASSERT_LE(error, 2.0 + (2.5e-7 + 1e-7 * below) * static_cast<double>(expected[v]))
              << isa_name(isa) << " n " << n << " v " << v;
        }
      }
    }
  }
}

// The encoder's interval, the decoder's weights and its search say the same of every id.
TEST(Cdf, IntervalsTileTheTotal) {
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {1, 2, 5, 64, 65, 257, 2048, 2050, 4097}) {
      const std::vector<float> logits = random_logits(n, 5.0F, 9);
      std::vector<std::uint64_t> weights(logits.size());
      const std::uint64_t total = cdf_weights(isa, logits.data(), n, weights.data());
      std::uint64_t low = 0;
      for (std::int64_t v = 0; v < n; ++v) {
        const CdfInterval interval = cdf_interval(isa, logits.data(), n, v);
        ASSERT_EQ(interval.low, low);
        ASSERT_EQ(interval.width, weights[static_cast<std::size_t>(v)]);
        ASSERT_EQ(interval.total, total);
        for (const std::uint64_t at : {low, low + interval.width / 2, low + interval.width - 1}) {
          const CdfSymbol found = cdf_find(weights.data(), n, at);
          ASSERT_EQ(found.symbol, v);
          ASSERT_EQ(found.low, low);
          ASSERT_EQ(found.width, interval.width);
        }
        low += interval.width;
      }
      ASSERT_EQ(low, total);
    }
  }
}

TEST(Cdf, BitsAreThoseOfTheSoftmax) {
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {2, 257, 2048, 50257}) {
      const std::vector<float> logits = random_logits(n, 4.0F, 3);
      double sum = 0;
      for (const float x : logits) sum += std::exp(double{x});
      for (const std::int64_t v : {std::int64_t{0}, n / 2, n - 1}) {
        const double exact = (std::log(sum) - double{logits[static_cast<std::size_t>(v)]}) / std::log(2.0);
        EXPECT_NEAR(cdf_interval(isa, logits.data(), n, v).bits, exact, 1e-6 * std::max(1.0, exact));
      }
    }
  }
}

// The cost of q against p is sum p log2(p / q): below 1e-4 bits a token at V = 128k, whatever the distribution's shape.
TEST(Cdf, TheIntegersCostLessThanOneTenThousandthOfABit) {
  double worst = 0;
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {257, 2048, 50257, 131072}) {
      for (const float spread : {0.0F, 0.5F, 2.0F, 6.0F, 12.0F, 100.0F}) {
        std::vector<float> logits = random_logits(n, spread, 17);
        if (spread == 100.0F) {
          for (float& x : logits) x = -1000.0F;
          logits[5] = 0.0F;  // one certain token: all others are at the floor
        }
        std::vector<std::uint64_t> weights(logits.size());
        const auto total = static_cast<double>(cdf_weights(isa, logits.data(), n, weights.data()));
        long double sum = 0, cost = 0;
        for (const float x : logits) sum += std::exp(static_cast<long double>(x));
        for (std::size_t v = 0; v < logits.size(); ++v) {
          const long double p = std::exp(static_cast<long double>(logits[v])) / sum;
          if (p > 0) cost += p * std::log2(p * total / static_cast<long double>(weights[v]));
        }
        worst = std::max(worst, static_cast<double>(cost));
      }
    }
  }
  RecordProperty("worst_bits_per_token", std::to_string(worst));
  std::printf("q against p: %.2e bits a token at worst\n", worst);
  EXPECT_LE(worst, 1e-4);
  EXPECT_GE(worst, 0.0);
}

TEST(Cdf, WhatIsNoDistributionHasNoTotal) {
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {3, 300, 5000}) {
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
        for (const std::size_t place : {std::size_t{0}, static_cast<std::size_t>(n - 1)}) {
          std::vector<float> logits = random_logits(n, 1.0F, 2);
          std::vector<std::uint64_t> weights(logits.size());
          logits[place] = bad;
          EXPECT_EQ(cdf_weights(isa, logits.data(), n, weights.data()), 0U);
          EXPECT_EQ(cdf_interval(isa, logits.data(), n, 1).total, 0U);
        }
      }
      std::vector<float> none(static_cast<std::size_t>(n), -kInfinity);
      std::vector<std::uint64_t> weights(none.size());
      EXPECT_EQ(cdf_weights(isa, none.data(), n, weights.data()), 0U);
      none[0] = 3.0F;  // one possible token; the others can be coded nevertheless
      EXPECT_GT(cdf_weights(isa, none.data(), n, weights.data()), 0U);
      EXPECT_EQ(weights[1], 1U);
      EXPECT_EQ(weights[0], (std::uint64_t{1} << cdf_precision(n)) + 1);
    }
  }
}

TEST(Cdf, DoesNotDependOnAlignmentAndReadsNoFurther) {
  for (const Isa isa : isas()) {
    for (const std::int64_t n : {1, 7, 64, 100, 2048, 2100}) {
      const std::vector<float> logits = random_logits(n, 3.0F, 4);
      GuardedPages pages(3);
      float* end = pages.floats().data() + pages.floats().size();
      std::copy(logits.begin(), logits.end(), end - n);
      const CdfInterval a = cdf_interval(isa, logits.data(), n, n / 2);
      const CdfInterval b = cdf_interval(isa, end - n, n, n / 2);
      EXPECT_EQ(a.low, b.low);
      EXPECT_EQ(a.width, b.width);
      EXPECT_EQ(a.total, b.total);
      std::vector<float> shifted(logits.size() + 3);
      std::copy(logits.begin(), logits.end(), shifted.begin() + 3);
      EXPECT_EQ(cdf_interval(isa, shifted.data() + 3, n, n / 2).low, a.low);
    }
  }
}

}  // namespace
}  // namespace lmbits::kernels
