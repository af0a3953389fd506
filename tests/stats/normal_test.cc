#include "src/stats/normal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lmbits {
namespace {

TEST(Normal, QuantilesMatchTheTables) {
  EXPECT_NEAR(normal_quantile(0.5), 0.0, 1e-15);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-13);
  EXPECT_NEAR(normal_quantile(0.005), -2.575829303548901, 1e-13);
}

TEST(Normal, QuantileInvertsTheDistribution) {
  for (double z = -8.0; z <= 5.0; z += 0.125) EXPECT_NEAR(normal_quantile(normal_cdf(z)), z, 1e-9) << z;
}

TEST(Normal, QuantileIsInfiniteAtTheEnds) {
  EXPECT_EQ(normal_quantile(0.0), -INFINITY);
  EXPECT_EQ(normal_quantile(1.0), INFINITY);
}

}  // namespace
}  // namespace lmbits
