#include "src/scaling/zipf.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/stats/random.h"

namespace lmbits {
namespace {

std::vector<std::int64_t> power_counts(double s, int n_types, double scale) {
  std::vector<std::int64_t> counts;
  for (int r = 1; r <= n_types; ++r) counts.push_back(std::llround(scale * std::pow(r, -s)));
  return counts;
}

TEST(FitZipf, FindsTheExponentOfAPower) {
  for (const double s : {0.7, 1.0, 1.4}) {
    const auto fit = fit_zipf(power_counts(s, 2000, 1e7), 1, 0, 0.95);
    ASSERT_TRUE(fit);
    EXPECT_NEAR(fit->exponent, s, 1e-3);
    EXPECT_NEAR(fit->least_squares, s, 1e-2);
    EXPECT_LT(fit->worst_ratio, 1.1);
  }
}

TEST(FitZipf, KeepsToItsRange) {
  std::vector<std::int64_t> counts = power_counts(1.0, 1000, 1e7);
  for (std::size_t r = 100; r < counts.size(); ++r)
    counts[r] /= 1 + static_cast<std::int64_t>(r) / 100;  // a second regime
  const auto fit = fit_zipf(counts, 1, 100, 0.95);
  EXPECT_NEAR(fit->exponent, 1.0, 1e-3);
  EXPECT_EQ(fit->rank_hi, 100);
  EXPECT_GT(fit_zipf(counts, 1, 0, 0.95)->exponent, 1.05);
  EXPECT_FALSE(fit_zipf({5, 4}, 1, 0, 0.95));
  EXPECT_FALSE(fit_zipf(counts, 990, 991, 0.95));
}

TEST(FitZipf, CoversTheExponentOfIndependentDraws) {
  const double s = 1.1;
  std::vector<double> cumulative;
  for (int r = 1; r <= 300; ++r) cumulative.push_back((cumulative.empty() ? 0.0 : cumulative.back()) + std::pow(r, -s));
  int covering = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    Random random(7, i);
    std::vector<std::int64_t> counts(300, 0);
    for (int k = 0; k < 3000; ++k) {
      const double u = random.uniform() * cumulative.back();
      ++counts[static_cast<std::size_t>(std::lower_bound(cumulative.begin(), cumulative.end(), u) -
                                        cumulative.begin())];
    }
    covering += fit_zipf(counts, 1, 300, 0.95)->interval->contains(s);
  }
  EXPECT_GE(covering, 80);  // sorting counts by themselves makes the curve a little steeper
}

}  // namespace
}  // namespace lmbits
