#include "src/stats/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lmbits {
namespace {

TEST(Random, IsTheDocumentedFunctionOfSeedStreamAndCounter) {
  // SplitMix64 from state 0 is published with its generator: e220a8397b1dcdaf, 6e789e6aa1b965f4. The start of a stream is
  // the mix of seed and stream; mix(0) = 0 makes stream 0 of seed 0 that very sequence.
  Random random(0, 0);
  EXPECT_EQ(random.next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(random.next(), 0x6e789e6aa1b965f4u);
}

TEST(Random, SeedsAndStreamsReproduceAndDiffer) {
  EXPECT_EQ(Random(7, 3).next(), Random(7, 3).next());
  EXPECT_NE(Random(7, 3).next(), Random(7, 4).next());
  EXPECT_NE(Random(7, 3).next(), Random(8, 3).next());
  EXPECT_NE(Random(7, 3).next(), Random(3, 7).next());
}

TEST(Random, BelowIsUniform) {
  for (const std::uint32_t n : {1u, 2u, 3u, 10u, 97u}) {
    constexpr int kDraws = 100000;
    std::vector<int> seen(n, 0);
    Random random(1, n);
    for (int i = 0; i < kDraws; ++i) ++seen[random.below(n)];
    double chi2 = 0.0;
    for (const int count : seen) {
      const double expected = static_cast<double>(kDraws) / n;
      chi2 += (count - expected) * (count - expected) / expected;
    }
    EXPECT_LE(chi2, (n - 1) + 5.0 * std::sqrt(2.0 * n)) << "n=" << n;
  }
}

TEST(Random,
     BelowStaysUniformWhereARejectionlessProductWouldNotBe) {  // n = 3/4 of 2^32: a third of the low values double
  constexpr std::uint32_t kN = 3u << 30;
  Random random(1, 1);
  int thirds[3] = {0, 0, 0};
  for (int i = 0; i < 30000; ++i) ++thirds[random.below(kN) % 3];
  for (const int count : thirds) EXPECT_NEAR(count, 10000, 400);
}

TEST(Random, UniformIsInTheHalfOpenUnitInterval) {
  Random random(5, 0);
  double mean = 0.0;
  for (int i = 0; i < 10000; ++i) {
    const double x = random.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    mean += x / 10000;
  }
  EXPECT_NEAR(mean, 0.5, 0.015);
}

}  // namespace
}  // namespace lmbits
