// Chinchilla's law on nine isoFLOP budgets: 200 fits of 150 refits an objective, half a minute of one core each.
#include <gtest/gtest.h>

#include "src/scaling/coverage.h"
#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

class LongCoverage : public testing::TestWithParam<ObjectiveKind> {};

TEST_P(LongCoverage, OfTheDefaultIntervalIsNear95Percent) {
  FitRequest fit;
  fit.objective.kind = GetParam();
  CoverageRequest request;
  request.sigma = 0.0076;  // what Hoffmann et al.'s points scatter by
  request.n_times = 200;
  request.n_resamples = 150;
  request.n_threads = 2;
  request.kinds = {FitInterval::kBca};
  request.predictions = {make_point(7e10, 1.4e12, 1.0)};
  const Coverage found = measure_coverage(make_law("chinchilla"), kTruth, isoflop_points(9, 0.0, 1), fit, request);
  for (std::size_t q = 0; q < found.quantities.size(); ++q) {  // 92 to 97, and what 200 fits leave open
    EXPECT_GE(found.kinds[0].shares[q], 0.92 - 2.0 * found.error()) << found.quantities[q];
    EXPECT_LE(found.kinds[0].shares[q], 0.97 + 2.0 * found.error()) << found.quantities[q];
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, LongCoverage,
                         testing::Values(ObjectiveKind::kHuber, ObjectiveKind::kL1, ObjectiveKind::kLeastSquares));

}  // namespace
}  // namespace lmbits
