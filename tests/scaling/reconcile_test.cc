#include "src/scaling/reconcile.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/scaling/accounting.h"
#include "src/scaling/known_law.h"
#include "src/scaling/published.h"

namespace lmbits {
namespace {

const Parameters& law() { return find_published("besiroglu2024")->p; }

TEST(Reconcile, GivesThePublishedExponentsOnThePublishedGrid) {
  const Reconciliation found = reconcile(law(), {});
  EXPECT_NEAR(found.non_embedding.n_exponent, 0.78, 0.005);
  EXPECT_NEAR(found.total.n_exponent, 0.51, 0.005);
  EXPECT_NEAR(found.non_embedding.loss_exponent, -0.069, 5e-4);
}

TEST(Reconcile, WithoutEmbeddingsIsChinchillaInBothCountings) {
  ReconcileGrid grid;
  grid.omega = 0.0;
  grid.n_sizes = 400;
  grid.log10_n_lo = 5.0;
  grid.log10_n_hi = 11.0;
  const Reconciliation found = reconcile(law(), grid);
  EXPECT_NEAR(found.total.n_exponent, optimal_exponent(law()), 0.01);
  EXPECT_DOUBLE_EQ(local_exponent(law(), 1e8, 0.0), optimal_exponent(law()));
}

TEST(LocalExponent, IsTheSlopeOfTheOptimum) {
  for (const double n : {1e3, 1e5, 1e6, 1e7, 1e9}) {
    const double up = std::log(flops_of_optimum(law(), n * 1.0001, 47491.0)),
                 down = std::log(flops_of_optimum(law(), n / 1.0001, 47491.0));
    EXPECT_NEAR(local_exponent(law(), n, 47491.0), 2.0 * std::log(1.0001) / (up - down), 1e-6);
  }
}

TEST(LocalExponent, BelongsToTheBestSizeOfItsCompute) {
  const auto loss = [](double n, double flops) {
    return std::exp(law()[1]) * std::pow(total_params(n, 47491.0), -law()[3]) +
           std::exp(law()[2]) * std::pow(flops / (6.0 * n), -law()[4]);
  };
  for (const double n : {1e4, 1e6, 1e8}) {
    const double flops = flops_of_optimum(law(), n, 47491.0);
    for (const double factor : {0.9, 0.99, 1.01, 1.1}) EXPECT_GT(loss(n * factor, flops), loss(n, flops));
  }
}

TEST(LocalExponent, GoesBetweenItsLimitsAndIsNotMonotone) {
  EXPECT_NEAR(local_exponent(law(), 1e-3, 47491.0), law()[4] / (law()[3] / 3.0 + law()[4]), 1e-3);
  EXPECT_NEAR(local_exponent(law(), 1e18, 47491.0), optimal_exponent(law()), 1e-3);
  EXPECT_GT(local_exponent(law(), 1e6, 47491.0), local_exponent(law(), 1e4, 47491.0));
  EXPECT_GT(local_exponent(law(), 1e6, 47491.0), local_exponent(law(), 1e8, 47491.0));
}

TEST(TotalParams, AreInvertible) {
  for (const double n : {1e2, 1e6, 1e12})
    EXPECT_NEAR(non_embedding_params(total_params(n, 47491.0), 47491.0) / n, 1.0, 1e-9);
}

TEST(CountParameters, GivesGpt2sCounts) {
  // 12 layers of 768, 50,257 tokens, 1,024 positions: 12 x 12 x 768^2 weights in blocks (124.4 M with biases and norms).
  const Architecture gpt2{12, 768, 50257, 1024, 0, 0, true, true};
  const ParameterCounts n = count_parameters(gpt2);
  EXPECT_EQ(n.non_embedding, 12.0 * 12 * 768 * 768);
  EXPECT_EQ(n.embedding, (50257.0 + 1024) * 768);
  EXPECT_EQ(n.total, n.non_embedding + n.embedding);
  EXPECT_EQ(n.with_head, n.non_embedding + 50257.0 * 768);
  Architecture untied = gpt2;
  untied.tied = false;
  EXPECT_EQ(count_parameters(untied).total, n.total + 50257.0 * 768);
  EXPECT_EQ(count_flops(gpt2).six_n_non_embedding, 6 * n.non_embedding);
  EXPECT_EQ(count_flops(gpt2).attention, 3 * 2 * 12.0 * 1024 * 768);
}

}  // namespace
}  // namespace lmbits
