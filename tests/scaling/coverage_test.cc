#include "src/scaling/coverage.h"

#include <gtest/gtest.h>

#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

CoverageRequest small_request(double level) {
  CoverageRequest request;
  request.sigma = 0.01;
  request.level = level;
  request.n_times = 40;
  request.n_resamples = 60;
  request.n_threads = 2;
  return request;
}

Coverage coverage_of(const CoverageRequest& request, const FitRequest& fit = {}, const Parameters& truth = kTruth) {
  return measure_coverage(make_law("chinchilla"), truth, isoflop_points(9, 0.0, 1), fit, request);
}

TEST(MeasureCoverage, FindsThatEveryKindHoldsTheTruthAboutAsOftenAsItSays) {
  for (const double level : {0.5, 0.9}) {
    CoverageRequest request = small_request(level);
    request.predictions = {make_point(7e10, 1.4e12, 1.0)};
    const Coverage found = coverage_of(request);
    ASSERT_EQ(found.quantities.size(), 6u);
    ASSERT_EQ(found.kinds.size(), 3u);
    for (const Coverage::Kind& kind : found.kinds) {
      EXPECT_GE(kind.least(), level - 0.3) << name_of(kind.kind);
      EXPECT_LE(kind.most(), level + 0.3) << name_of(kind.kind);
    }
  }
}

TEST(MeasureCoverage, MeasuresWhatIsFreeAndDoesNotDependOnThreads) {
  FitRequest fit;
  fit.constraints.resize(5);
  fit.constraints[0].fixed = kTruth[0];
  CoverageRequest request = small_request(0.9);
  request.n_times = 8;
  const Coverage two = coverage_of(request, fit);
  EXPECT_EQ(two.quantities, (std::vector<std::string>{"A", "B", "alpha", "beta"}));
  request.n_threads = 1;
  const Coverage one = coverage_of(request, fit);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(one.kinds[k].shares, two.kinds[k].shares);
}

TEST(MeasureCoverage, SeesIntervalsThatAreWrong) {
  FitRequest fit;  // beta is held at a wrong value: the intervals of the others miss
  fit.constraints.resize(5);
  fit.constraints[4].fixed = 0.30;
  const Coverage found = coverage_of(small_request(0.95), fit);
  for (const Coverage::Kind& kind : found.kinds) EXPECT_LT(kind.least(), 0.3) << name_of(kind.kind);
}

}  // namespace
}  // namespace lmbits
