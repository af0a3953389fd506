#include "src/stats/min_k.h"

#include <gtest/gtest.h>

#include "src/stats/random.h"

namespace lmbits {
namespace {

TEST(MinK, IsTheMeanOfTheDearestTokens) {
  const std::vector<double> bits = {1.0, 9.0, 2.0, 7.0, 3.0, 4.0, 0.5, 6.0, 5.0, 8.0};
  EXPECT_DOUBLE_EQ(min_k_bits(bits, 0.2), 8.5);
  EXPECT_DOUBLE_EQ(min_k_bits(bits, 0.29), 8.5);  // rounded down, as the paper's program does
  EXPECT_DOUBLE_EQ(min_k_bits(bits, 0.01), 9.0);  // at least one
  EXPECT_DOUBLE_EQ(min_k_bits(bits, 1.0), 4.55);
}

TEST(CompareSamples, SaysHowOftenAIsBelow) {
  const std::vector<double> low = {1.0, 2.0, 3.0}, high = {3.0, 4.0};
  const SampleComparison c = compare_samples(low, high, 0.95, 500, 1);
  EXPECT_DOUBLE_EQ(c.share_below, 5.5 / 6.0);  // 3 and 3 count half
  EXPECT_DOUBLE_EQ(c.difference, 1.5);
  EXPECT_LE(c.difference_interval.lo, 1.5);
  EXPECT_GE(c.difference_interval.hi, 1.5);
  EXPECT_DOUBLE_EQ(compare_samples(high, low, 0.95, 100, 1).share_below, 0.5 / 6.0);
  EXPECT_DOUBLE_EQ(compare_samples(low, low, 0.95, 100, 1).share_below, 0.5);
}

TEST(CompareSamples, TellsNothingApartWhereNothingIs) {
  int n_false = 0;
  for (std::uint64_t s = 0; s < 100; ++s) {
    Random random(3, s);
    std::vector<double> a, b;
    for (int i = 0; i < 40; ++i) a.push_back(random.uniform() + random.uniform());
    for (int i = 0; i < 30; ++i) b.push_back(random.uniform() + random.uniform());
    const SampleComparison c = compare_samples(a, b, 0.95, 400, s);
    n_false += !c.share_interval.contains(0.5);
  }
  EXPECT_LE(n_false, 13);
}

}  // namespace
}  // namespace lmbits
