#include "src/scaling/coverage.h"

#include <gtest/gtest.h>

#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

// Sizes of which log L = a - alpha log N is a straight line: Student's interval, which the profile then is, holds the
// truth exactly as often as it says, whatever the number of points.
std::vector<ScalingPoint> sizes(std::size_t n) {
  std::vector<ScalingPoint> points;
  for (std::size_t i = 0; i < n; ++i)
    points.push_back(make_point(1e7 * std::pow(1e4, static_cast<double>(i) / static_cast<double>(n - 1)), 1e10, 1.0));
  return points;
}

CoverageRequest request_of(double level, std::int64_t n_times) {
  CoverageRequest request;
  request.sigma = 0.01;
  request.level = level;
  request.n_times = n_times;
  request.n_resamples = 150;
  request.n_threads = 2;
  request.predictions = {make_point(1e12, 1.4e12, 1.0)};
  return request;
}

const Parameters kLine{-40.0, 2.4, 0.076};

Coverage coverage_of_line(const CoverageRequest& request, std::size_t n_points) {
  FitRequest fit;
  fit.objective.kind = ObjectiveKind::kLeastSquares;
  const std::shared_ptr<const Law> law = make_law("kaplan-n");
  fit.constraints = law->default_constraints();
  return measure_coverage(law, kLine, sizes(n_points), fit, request);
}

TEST(MeasureCoverage, OfStudentsIntervalIsItsLevel) {
  for (const double level : {0.5, 0.9}) {
    CoverageRequest request = request_of(level, 1000);
    request.kinds = {FitInterval::kProfile};
    request.n_resamples = 1;
    const Coverage found = coverage_of_line(request, 8);
    ASSERT_EQ(found.quantities, (std::vector<std::string>{"A", "alpha", make_point(1e12, 1.4e12, 1.0).label}));
    for (const double share : found.kinds.at(0).shares) EXPECT_NEAR(share, level, 3.5 * found.error());
  }
}

TEST(MeasureCoverage, OfResampledIntervalsIsNearTheirLevel) {
  CoverageRequest request = request_of(0.9, 400);
  request.kinds = {FitInterval::kPercentile, FitInterval::kBca};
  const Coverage found = coverage_of_line(request, 50);
  for (const Coverage::Kind& kind : found.kinds) {  // with 50 points they are a little short
    EXPECT_GE(kind.least(), 0.9 - 0.03 - 3.5 * found.error()) << name_of(kind.kind);
    EXPECT_LE(kind.most(), 0.9 + 3.5 * found.error()) << name_of(kind.kind);
  }
}

TEST(MeasureCoverage, MeasuresWhatIsFreeAndDoesNotDependOnThreads) {
  FitRequest fit;
  fit.constraints.resize(5);
  fit.constraints[0].fixed = kTruth[0];
  CoverageRequest request = request_of(0.9, 8);
  request.predictions = {};
  request.n_resamples = 40;
  const auto coverage_of = [&] {
    return measure_coverage(make_law("chinchilla"), kTruth, isoflop_points(9, 0.0, 1), fit, request);
  };
  const Coverage two = coverage_of();
  EXPECT_EQ(two.quantities, (std::vector<std::string>{"A", "B", "alpha", "beta"}));
  request.n_threads = 1;
  const Coverage one = coverage_of();
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(one.kinds[k].shares, two.kinds[k].shares);
}

TEST(MeasureCoverage, SeesIntervalsThatAreWrong) {
  FitRequest fit;  // beta is held at a wrong value: the intervals of the others miss
  fit.constraints.resize(5);
  fit.constraints[4].fixed = 0.30;
  CoverageRequest request = request_of(0.95, 10);
  request.predictions = {};
  request.n_resamples = 40;
  const Coverage found = measure_coverage(make_law("chinchilla"), kTruth, isoflop_points(9, 0.0, 1), fit, request);
  for (const Coverage::Kind& kind : found.kinds) EXPECT_LT(kind.least(), 0.3) << name_of(kind.kind);
}

}  // namespace
}  // namespace lmbits
