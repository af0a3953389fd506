// Fits of published points, which are not this repository's to carry: LMBITS_SHARED names the folder that has them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "src/core/file.h"
#include "src/scaling/fit.h"
#include "src/scaling/points.h"
#include "src/scaling/published.h"

namespace lmbits {
namespace {

class PublishedFit : public testing::Test {
 protected:
  void SetUp() override {
    const char* const shared = std::getenv("LMBITS_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "LMBITS_SHARED is not set: no published points to fit";
    folder_ = std::filesystem::path(shared) / "data" / "scaling";
  }
  std::vector<ScalingPoint> points(const std::string& name, const std::vector<std::string>& exclude) {
    PointsRequest request;
    request.exclude = exclude;
    return read_points(read_file(folder_ / name), name, request).points;
  }
  std::filesystem::path folder_;
};

TEST_F(PublishedFit, Besiroglus2024ParametersAreTheL1Minimum) {
  FitRequest request;
  request.objective.kind = ObjectiveKind::kL1;
  const Fit fit = fit_law(make_law("chinchilla"), points("chinchilla_runs.csv", {"in_published_fit=0"}), request);
  EXPECT_EQ(fit.n, 240u);
  const Parameters& published = find_published("besiroglu2024")->p;
  for (std::size_t j = 0; j < 3; ++j) EXPECT_NEAR(std::exp(fit.p[j] - published[j]), 1.0, 1e-3);
  for (std::size_t j = 3; j < 5; ++j) EXPECT_NEAR(fit.p[j] / published[j], 1.0, 1e-3);
  EXPECT_NEAR(fit.p[4] / (fit.p[3] + fit.p[4]), 0.5126, 5e-5);
  EXPECT_EQ(fit.n_agreeing, fit.n_ended);  // one minimum, whatever the start
}

TEST_F(PublishedFit, HuberHasAnotherMinimum) {
  const Fit fit = fit_law(make_law("chinchilla"), points("chinchilla_runs.csv", {"in_published_fit=0"}), {});
  EXPECT_NEAR(fit.objective, 0.00101827401782, 1e-13);  // scipy's L-BFGS-B from the published grid ends here, too
  EXPECT_GT(std::abs(fit.p[1] - find_published("besiroglu2024")->p[1]), 5e-3);
}

TEST_F(PublishedFit, Besiroglus2024IntervalsAreOfHuberRefitsToNumpysDraws) {
  const auto runs = points("chinchilla_runs.csv", {"in_published_fit=0"});
  const Fit fit = fit_law(make_law("chinchilla"), runs, {});
  const Refits refits = numpy_bootstrap_fits(fit, runs, 4000, 42, 2);
  const auto interval_of = [&](std::size_t j) {
    const auto shown = fit.law->parameters()[j];
    return *bootstrap_interval(
        refits, fit, [=](const Parameters& p) { return shown.shown(p[j]); }, 0.95, IntervalMethod::kPercentile);
  };
  EXPECT_NEAR(bootstrap_se(refits, [](const Parameters& p) { return std::exp(p[1]); }).value(), 124.58, 0.1);
  EXPECT_NEAR(bootstrap_se(refits, [](const Parameters& p) { return std::exp(p[2]); }).value(), 1293.23, 1.0);
  EXPECT_NEAR(interval_of(1).lo, 285, 1.2);  // NumPy's percentile of the same replicates: 285.2
  EXPECT_NEAR(interval_of(1).hi, 744, 0.5);
  EXPECT_NEAR(interval_of(3).lo, 0.317, 5e-4);
  EXPECT_NEAR(interval_of(4).hi, 0.415, 5e-4);
}

TEST_F(PublishedFit, Muennighoffs2023ObjectiveAndR2AreAsPrinted) {
  const auto runs = points("muennighoff2023_data_constrained.csv", {});
  ASSERT_EQ(runs.size(), 182u);
  const auto law = make_law("data-constrained");
  const Parameters& p = find_published("muennighoff2023")->p;
  double objective = 0.0, mean = 0.0, left = 0.0, total = 0.0;
  for (const ScalingPoint& run : runs) mean += run.loss / 182.0;
  for (const ScalingPoint& run : runs) {
    const double log_loss = law->log_loss(p, observe(run));
    objective += Objective{}.of(log_loss - std::log(run.loss));
    left += std::pow(std::exp(log_loss) - run.loss, 2);
    total += std::pow(run.loss - mean, 2);
  }
  EXPECT_NEAR(objective, 0.0158, 5e-5);
  EXPECT_NEAR(1.0 - left / total, 0.7722, 5e-5);
}

}  // namespace
}  // namespace lmbits
