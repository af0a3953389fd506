#include "src/stats/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/stats/random.h"

namespace lmbits {
namespace {

Columns random_columns(std::size_t k, std::size_t n, std::uint64_t seed) {
  Random random(seed, 0);
  Columns columns(k, std::vector<double>(n));
  for (auto& column : columns) {
    for (double& v : column) v = random.uniform() - 0.3;
  }
  return columns;
}

double squares_left(const Columns& columns, const std::vector<double>& x, const std::vector<double>& target) {
  double sum = 0.0;
  for (std::size_t i = 0; i < target.size(); ++i) {
    double r = -target[i];
    for (std::size_t k = 0; k < columns.size(); ++k) r += x[k] * columns[k][i];
    sum += r * r;
  }
  return sum;
}

TEST(LeastSquares, SolvesWhatIsExactEvenWhenColumnsAreNearlyDependent) {
  // Hilbert's matrix: condition 1.5e10 for 8 columns, whose square no double holds.
  Columns columns(8, std::vector<double>(10));
  std::vector<double> target(10, 0.0);
  for (std::size_t k = 0; k < 8; ++k) {
    for (std::size_t i = 0; i < 10; ++i) target[i] += columns[k][i] = 1.0 / static_cast<double>(i + k + 1);
  }
  const auto x = least_squares(columns, target);
  ASSERT_TRUE(x);
  for (const double v : *x) EXPECT_NEAR(v, 1.0, 1e-4);
}

TEST(LeastSquares, LeavesAResidualThatIsOrthogonalToEveryColumn) {
  const Columns columns = random_columns(4, 30, 2);
  const std::vector<double> target = random_columns(1, 30, 3)[0];
  const auto x = least_squares(columns, target);
  ASSERT_TRUE(x);
  for (const auto& column : columns) {
    double product = 0.0;
    for (std::size_t i = 0; i < target.size(); ++i) {
      double r = target[i];
      for (std::size_t k = 0; k < 4; ++k) r -= (*x)[k] * columns[k][i];
      product += r * column[i];
    }
    EXPECT_NEAR(product, 0.0, 1e-12);
  }
}

TEST(LeastSquares, RefusesDependentColumns) {
  EXPECT_FALSE(least_squares({{1, 2, 3}, {2, 4, 6}}, {1, 1, 1}));
  EXPECT_FALSE(least_squares({{1, 2}, {1, 3}, {4, 5}}, {1, 1}));
}

TEST(NonnegativeLeastSquares, IsNoWorseThanAnyOtherNonNegativePoint) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Columns columns = random_columns(3, 12, seed);
    const std::vector<double> target = random_columns(1, 12, seed + 100)[0];
    const std::vector<double> best = nonnegative_least_squares(columns, target);
    const double least = squares_left(columns, best, target);
    Random random(seed, 5);
    for (int i = 0; i < 300; ++i) {
      std::vector<double> near = best;
      for (double& v : near) v = std::max(0.0, v + 0.2 * (random.uniform() - 0.5));
      EXPECT_GE(squares_left(columns, near, target), least - 1e-12);
    }
    for (const double v : best) EXPECT_GE(v, 0.0);
  }
}

TEST(Svd, GivesTheSingularValuesOfAKnownMatrix) {
  // diag(3, 1e-9) turned by an angle on the right: both values keep all their digits.
  const double c = std::cos(0.7), s = std::sin(0.7);
  const Svd decomposition = svd({{3 * c, 1e-9 * s}, {-3 * s, 1e-9 * c}});
  EXPECT_NEAR(decomposition.values[0], 3.0, 1e-14);
  EXPECT_NEAR(decomposition.values[1] / 1e-9, 1.0, 1e-6);
  EXPECT_NEAR(std::abs(decomposition.right[1][0]), s, 1e-9);
}

TEST(SolvePositiveDefinite, SolvesAndRefusesWhatIsNot) {
  const auto x = solve_positive_definite({4, 2, 2, 3}, {10, 9});
  ASSERT_TRUE(x);
  EXPECT_NEAR((*x)[0], 1.5, 1e-14);
  EXPECT_NEAR((*x)[1], 2.0, 1e-14);
  EXPECT_FALSE(solve_positive_definite({1, 2, 2, 1}, {1, 1}));
}

}  // namespace
}  // namespace lmbits
