#include "src/scaling/isoflop.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/scaling/known_law.h"
#include "src/scaling/plan.h"
#include "tests/scaling/demo_family.h"
#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

// At each budget losses that are exact parabolas in log N around N* = 0.2 C^0.6.
std::vector<ScalingPoint> parabolas(double shift) {
  std::vector<ScalingPoint> points;
  for (const double flops : {1e18, 1e19, 1e20, 1e21}) {
    const double best = 0.002 * std::pow(flops, 0.6);
    for (int i = -3; i <= 3; ++i) {
      const double x = 0.3 * i + shift;
      points.push_back(make_point(best * std::exp(x), flops / (6.0 * best * std::exp(x)),
                                  3.0 - 0.1 * std::log10(flops / 1e18) + 0.05 * x * x));
    }
  }
  return points;
}

TEST(IsoFlop, FindsTheMinimaOfParabolasAndTheirPowers) {
  IsoFlopRequest request;
  request.n_resamples = 100;
  const IsoFlops result = isoflop(parabolas(0.2), request);
  ASSERT_EQ(result.budgets.size(), 4u);
  EXPECT_EQ(result.n_used, 4u);
  for (const IsoFlop& b : result.budgets) EXPECT_NEAR(b.n / (0.002 * std::pow(b.flops, 0.6)), 1.0, 1e-9);
  EXPECT_NEAR(result.n.exponent, 0.6, 1e-10);
  EXPECT_NEAR(result.d.exponent, 0.4, 1e-10);
  ASSERT_TRUE(result.n.interval);
  EXPECT_TRUE(result.n.interval->contains(result.n.exponent));
}

TEST(IsoFlop, RefusesBudgetsWithoutAnInteriorMinimum) {
  auto points = parabolas(0.0);
  for (std::size_t i = 0; i < 7; ++i)
    points[i].loss = 3.0 - 0.1 * static_cast<double>(i);  // still falling at the largest
  for (std::size_t i = 7; i < 14; ++i)
    points[i].loss = 3.0 - 0.05 * std::pow(static_cast<double>(i) - 10.0, 2);  // a hill
  IsoFlopRequest request;
  request.n_resamples = 100;
  const IsoFlops result = isoflop(points, request);
  EXPECT_FALSE(result.budgets[0].refused.empty());
  EXPECT_EQ(result.budgets[1].refused, "opens downwards");
  EXPECT_EQ(result.n_used, 2u);
  points.resize(10);
  EXPECT_THROW(isoflop(points, request), Error);
}

TEST(IsoFlop, RefusesMinimaOutsideOfTheSizes) {
  for (const auto& [shift, says] :
       {std::pair{-1.5, "minimum above the largest size"}, {1.5, "minimum below the smallest size"}}) {
    try {
      isoflop(parabolas(shift), {});
      FAIL() << says;
    } catch (const Error& e) {
      EXPECT_EQ(e.hint(), says);
    }
  }
}

TEST(IsoFlop, MeasuresItsOwnBias) {
  // Sizes that lie to one side of the minimum, further so at larger budgets: the parabola is pulled along.
  const auto law = make_law("chinchilla");
  std::vector<ScalingPoint> points;
  for (const double flops : {1e18, 1e19, 1e20, 1e21}) {
    const Allocation best = compute_optimal(kTruth, flops);
    const double lean = 0.25 * std::log10(flops / 1e18);
    for (int i = -4; i <= 6; ++i) {
      const double n = best.n * std::exp(0.4 * i + lean);
      points.push_back(make_point(n, flops / (6.0 * n), 1.0));
      points.back().loss = std::exp(law->log_loss(kTruth, observe(points.back())));
    }
  }
  IsoFlopRequest request;
  request.n_resamples = 100;
  const IsoFlops result = isoflop(points, request);
  ASSERT_TRUE(result.bias);
  EXPECT_NEAR(result.bias->true_exponent, optimal_exponent(kTruth), 1e-4);
  EXPECT_NEAR(result.bias->found_exponent, result.n.exponent,
              1e-4);  // the data have no noise, so this is all of the error
  EXPECT_GT(std::abs(result.n.exponent - optimal_exponent(kTruth)), 1e-3);
}

TEST(IsoFlop, TakesTheBudgetsThatAreGiven) {
  IsoFlopRequest request;
  request.n_resamples = 100;
  request.budgets = {1e18, 1e20};
  EXPECT_EQ(isoflop(parabolas(0.0), request).budgets.size(), 2u);
  request.budgets = {1e18, 1e20, 7e22};
  const auto budgets = isoflop(parabolas(0.0), request).budgets;
  ASSERT_EQ(budgets.size(), 3u);
  EXPECT_NEAR(budgets[2].flops, 7e22, 1e10);
  EXPECT_EQ(budgets[2].refused, "no run within the tolerance");
}

TEST(Envelope, FollowsTheBestOfItsCurves) {
  const auto law = make_law("chinchilla");
  Points points;
  for (int i = 0; i < 25; ++i) {
    const double n = 1e7 * std::pow(1.4, i);
    for (double d = 2e8; d < 3e11; d *= 1.15) {
      points.points.push_back(make_point(n, d, 1.0));
      points.points.back().loss = std::exp(law->log_loss(kTruth, observe(points.points.back())));
      points.runs.push_back("n" + std::to_string(i));
      points.sets.push_back("");
    }
  }
  IsoFlopRequest request;
  request.n_resamples = 100;
  const Envelope result = envelope(points, 300, request);
  EXPECT_EQ(result.curves.size(), 25u);
  for (const EnvelopePoint& p : result.points) EXPECT_GE(p.loss, compute_optimal(kTruth, p.flops).loss * (1.0 - 1e-9));
  EXPECT_NEAR(result.n.exponent, optimal_exponent(kTruth), 0.03);
  EXPECT_NEAR(result.n.exponent + result.d.exponent, 1.0, 1e-9);
  Points one;
  one.points = {points.points.begin(), points.points.begin() + 20};
  one.runs = {points.runs.begin(), points.runs.begin() + 20};
  EXPECT_THROW(envelope(one, 300, request), Error);
}

// Seven sizes and far more compute than suits them: at the ends the least and the largest are best all along.
TEST(Envelope, LeavesOutTheEndsAndMeasuresWhatBiasIsLeft) {
  const auto law = make_law("chinchilla");
  Points points;
  for (int i = 0; i < 7; ++i) {
    const double n = 1e8 * std::pow(2.0, i);
    for (double d = 1e8; d < 1e13; d *= 1.2) {
      points.points.push_back(make_point(n, d, 1.0));
      points.points.back().loss = std::exp(law->log_loss(kTruth, observe(points.points.back())));
      points.runs.push_back("n" + std::to_string(i));
      points.sets.push_back("");
    }
  }
  IsoFlopRequest request;
  request.n_resamples = 100;
  const Envelope found = envelope(points, 500, request);
  EXPECT_EQ(found.n_winning, 7u);
  EXPECT_EQ(found.n_fitted, 5u);
  EXPECT_NEAR(found.n.exponent, optimal_exponent(kTruth),
              0.015);  // a staircase against log C: 0.494; with its ends 0.36
  ASSERT_TRUE(found.bias);
  EXPECT_NEAR(found.bias->true_exponent, optimal_exponent(kTruth), 1e-4);
  EXPECT_NEAR(found.bias->found_exponent, found.n.exponent, 1e-4);
  Points three = points;  // only one size between the ends
  std::erase_if(three.points, [](const ScalingPoint& p) { return *p.at(Variable::kParams) > 4.5e8; });
  three.runs.resize(three.points.size());
  three.sets.resize(three.points.size());
  try {
    envelope(three, 500, request);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("1 sizes between the least, N = 1e+08"), 0u) << e.what();
  }
}

TEST(Plan, CostsOfAWrongSizeAreWhatTheBestSizeWouldHaveSaved) {
  const KnownLaw law = find_law("E=1.8,A=480,B=2100,alpha=.35,beta=.37");
  for (const MisSized& m : mis_sized(law, 1e22, {})) {
    EXPECT_NEAR(6.0 * m.n * m.d / 1e22, 1.0, 1e-12);
    EXPECT_NEAR(compute_optimal(law.p, 1e22 * (1.0 - m.wasted)).loss, m.loss, 1e-9);
    EXPECT_EQ(m.factor == 1.0, m.wasted == 0.0);
  }
}

TEST(Plan, ASweepCostsWhatItMay) {
  const KnownLaw law = find_law("besiroglu2024");
  SweepRequest request;
  request.budget = 1e21;
  double spent = 0.0;
  const auto runs = sweep(law, request, {});
  for (const SweepRun& run : runs) spent += 6.0 * run.n * run.d;
  EXPECT_EQ(runs.size(), 35u);
  EXPECT_NEAR(spent / 1e21, 1.0, 1e-12);
}

TEST(Plan, OfAnUnlimitedDataConstrainedLawIsChinchillas) {
  const KnownLaw limited = find_law("muennighoff2023");
  PlanRequest request;
  request.flops = {1e21};
  Parameters p{};
  std::copy(limited.p.begin(), limited.p.begin() + 5, p.begin());
  EXPECT_NEAR(plan(limited, request)[0].best.n / compute_optimal(p, 1e21).n, 1.0, 0.02);
  request.unique_tokens = 1e9;  // then neither more tokens nor more parameters are worth as much
  const PlanRow row = plan(limited, request)[0];
  EXPECT_GT(row.best.loss, compute_optimal(p, 1e21).loss);
  EXPECT_GT(row.best.d, 1e9);
}

TEST(EnvelopeOfTheDemoFamily, GoesToBiggerModelsAsComputeGrows) {
  const Points points = read_points(runs_csv(mean_over_corpora(demo_family())), "demo_family.csv", {});
  ASSERT_EQ(points.points.size(), 18u);
  const Envelope found = envelope(points, 300, {});
  EXPECT_EQ(found.curves.size(), 6u);
  EXPECT_GE(found.n_winning, 4u);
  for (std::size_t i = 1; i < found.points.size(); ++i) {
    EXPECT_GE(found.points[i].n, found.points[i - 1].n);
    EXPECT_LE(found.points[i].loss, found.points[i - 1].loss);
  }
  for (const ScalingPoint& checkpoint : points.points) {  // none lies below it
    for (const EnvelopePoint& at : found.points) {
      const bool is_here = std::abs(std::log(at.flops / flops_of(checkpoint))) < 1e-3;
      EXPECT_LE(at.loss, is_here ? checkpoint.loss * 1.002 : 1e9);
    }
  }
  // 1 is steeper than any law says: checkpoints in the middle of a schedule make small computes look worse (approach 1's
  // bias), and six runs of three sizes are few.
  EXPECT_GT(found.n.exponent, 0.3);
  EXPECT_LT(found.n.exponent, 1.1);
  EXPECT_EQ(found.n_fitted, 2u);
  EXPECT_FALSE(found.n.interval);  // resampled, few have two sizes between the least and the largest
}

}  // namespace
}  // namespace lmbits
