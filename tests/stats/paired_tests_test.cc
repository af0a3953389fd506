#include "src/stats/paired_tests.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/stats/random.h"

namespace lmbits {
namespace {

// Both tests by enumeration of all 2^n sign patterns.
double enumerate(const std::vector<double>& d, bool signed_ranks) {
  std::vector<double> score(d.size(), 1.0);
  for (std::size_t i = 0; signed_ranks && i < d.size(); ++i) {
    double below = 0.0, equal = 0.0;
    for (const double other : d) {
      below += std::abs(other) < std::abs(d[i]);
      equal += std::abs(other) == std::abs(d[i]);
    }
    score[i] = below + 0.5 * (equal + 1.0);
  }
  double total = 0.0, observed = 0.0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    total += score[i];
    if (d[i] > 0.0) observed += score[i];
  }
  double as_far = 0.0;
  for (std::size_t pattern = 0; pattern < (std::size_t{1} << d.size()); ++pattern) {
    double positive = 0.0;
    for (std::size_t i = 0; i < d.size(); ++i) positive += ((pattern >> i) & 1) != 0 ? score[i] : 0.0;
    as_far += std::abs(positive - 0.5 * total) >= std::abs(observed - 0.5 * total) ? 1.0 : 0.0;
  }
  return as_far / std::ldexp(1.0, static_cast<int>(d.size()));
}

TEST(PairedTests, AreExactForFewDifferences) {
  Random random(1, 0);
  for (int round = 0; round < 40; ++round) {
    std::vector<double> d(1 + random.below(9));
    for (double& x : d) {
      x = (1.0 + random.below(4)) * (random.below(3) == 0 ? -1.0 : 1.0);  // many ties
    }
    EXPECT_NEAR(*sign_test(d), enumerate(d, false), 1e-12);
    EXPECT_NEAR(*wilcoxon_signed_rank(d), enumerate(d, true), 1e-12);
  }
}

TEST(PairedTests, LeaveZerosOut) {
  EXPECT_FALSE(sign_test(std::vector<double>{0.0, 0.0}));
  EXPECT_FALSE(wilcoxon_signed_rank(std::vector<double>{}));
  EXPECT_DOUBLE_EQ(*sign_test(std::vector<double>{0.0, 1.0, 2.0, 0.0}), 0.5);
  EXPECT_DOUBLE_EQ(*wilcoxon_signed_rank(std::vector<double>{0.0, 1.0, 2.0, 0.0}), 0.5);
}

TEST(PairedTests, WilcoxonsApproximationMeetsTheExactValue) {  // 50 are exact, 51 approximated; one more of rank 1
  std::vector<double> d;
  for (int i = 1; i <= 50; ++i) d.push_back(i % 3 == 0 ? -i - 0.5 : i + 0.5);
  const double exact = *wilcoxon_signed_rank(d);
  d.push_back(0.5);
  EXPECT_NEAR(*wilcoxon_signed_rank(d), exact, 0.05 * exact + 0.002);
}

TEST(PairedTests, AreDefinedForManyDifferences) {
  const std::vector<double> one_sided(5000, 1.0);
  EXPECT_LT(*sign_test(one_sided), 1e-300);
  EXPECT_LT(*wilcoxon_signed_rank(one_sided), 1e-100);
  std::vector<double> balanced;
  for (int i = 0; i < 5000; ++i) balanced.push_back(i % 2 == 0 ? 1.0 : -1.0);
  EXPECT_NEAR(*sign_test(balanced), 1.0, 1e-9);
  EXPECT_NEAR(*wilcoxon_signed_rank(balanced), 1.0, 1e-9);
}

TEST(PairedTests, RejectATrueNullAsOftenAsTheirLevel) {
  int sign_rejections = 0, rank_rejections = 0;
  for (int i = 0; i < 1000; ++i) {
    Random random(2, static_cast<std::uint64_t>(i));
    std::vector<double> d(80);
    for (double& x : d) x = random.uniform() - 0.5;
    sign_rejections += *sign_test(d) < 0.05;
    rank_rejections += *wilcoxon_signed_rank(d) < 0.05;
  }
  EXPECT_LE(sign_rejections, 65);
  EXPECT_NEAR(rank_rejections, 50, 25);
}

}  // namespace
}  // namespace lmbits
