#include "src/scaling/fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

std::shared_ptr<const Law> law_of(const std::string& name) { return make_law(name); }

FitRequest request_of(ObjectiveKind kind) {
  FitRequest request;
  request.objective.kind = kind;
  return request;
}

constexpr ObjectiveKind kKinds[] = {ObjectiveKind::kHuber, ObjectiveKind::kL1, ObjectiveKind::kLeastSquares};

TEST(FitLaw, RecoversTheLawFromLossesWithoutNoise) {
  const auto points = isoflop_points(9, 0.0, 1);
  for (const ObjectiveKind kind : kKinds) {
    const Fit fit = fit_law(law_of("chinchilla"), points, request_of(kind));
    for (std::size_t j = 0; j < 5; ++j)
      EXPECT_NEAR(fit.p[j], kTruth[j], 2e-5 * std::abs(kTruth[j])) << static_cast<int>(kind) << " " << j;
    EXPECT_TRUE(fit.identifiability.identified);
  }
}

TEST(FitLaw, RecoversEveryOtherForm) {
  struct Case {
    std::string law;
    Parameters p;
  };
  for (const auto& [name, truth] : {Case{"kaplan-n", {-40.0, 2.4, 0.076}},
                                    {"kaplan-d", {-40.0, 3.0, 0.095}},
                                    {"kaplan-c", {-40.0, 3.6, 0.057}},
                                    {"kaplan-nd", {31.8, 30.5, 0.076, 0.103}},
                                    {"data-constrained", {0.62, 6.25, 7.3, 0.35, 0.37, 2.7, 1.6}},
                                    {"training", {0.1, 3.5, 1.9, 0.35, 0.33}}}) {
    const auto law = law_of(name);
    std::vector<ScalingPoint> points;
    for (const ScalingPoint& base : isoflop_points(7, 0.0, 1)) {
      for (const double epochs : {1.0, 6.0, 60.0}) {
        ScalingPoint point = base;
        point.at(Variable::kUniqueTokens) = *base.at(Variable::kTokens) / epochs;
        point.at(Variable::kSteps) = 50.0 * epochs * std::sqrt(*base.at(Variable::kTokens) / 1e9);
        point.loss = std::exp(law->log_loss(truth, observe(point)));
        points.push_back(point);
      }
    }
    const Fit fit = fit_law(law, points, request_of(ObjectiveKind::kLeastSquares));
    EXPECT_LT(fit.rms, 1e-6) << name;
    const auto parameters = law->parameters();
    for (std::size_t j = 0; j < parameters.size(); ++j)
      EXPECT_NEAR(fit.p[j], truth[j], 1e-3 * std::max(std::abs(truth[j]), 0.1)) << name << " " << parameters[j].name;
  }
}

TEST(FitLaw, RecoversTheGzipLawFromSetsOfDifferentH) {
  const auto law = law_of("gzip");
  const Parameters truth{1.0, 100.0, 900.0, 0.25, 0.3, 1.5, 400.0, 2000.0, 0.1, 0.1};
  std::vector<ScalingPoint> points;
  for (const double h : {0.11, 0.22, 0.35, 0.42, 0.51, 0.61}) {
    for (ScalingPoint point : isoflop_points(4, 0.0, 1)) {
      point.at(Variable::kComplexity) = h;
      point.loss = std::exp(law->log_loss(truth, observe(point)));
      points.push_back(point);
    }
  }
  const Fit fit = fit_law(law, points, {});
  for (std::size_t j = 0; j < 10; ++j) EXPECT_NEAR(fit.p[j], truth[j], 1e-3 * std::abs(truth[j])) << j;
}

TEST(FitLaw, EndsAtAMinimumOfItsObjective) {
  const auto points = isoflop_points(9, 0.01, 3);
  for (const ObjectiveKind kind : kKinds) {
    const Fit fit = fit_law(law_of("chinchilla"), points, request_of(kind));
    const auto objective_at = [&](const Parameters& p) {
      double sum = 0.0;
      for (const ScalingPoint& point : points)
        sum += fit.request.objective.of(fit.law->log_loss(p, observe(point)) - std::log(point.loss));
      return sum;
    };
    EXPECT_NEAR(fit.objective, objective_at(fit.p), 1e-12 * fit.objective);
    Random random(1, 1);
    for (int i = 0; i < 400; ++i) {  // also along the narrow valleys: the coefficients follow the exponents
      Parameters p = fit.p;
      const double step = std::pow(10.0, -2.0 - 4.0 * random.uniform());
      const double da = step * (random.uniform() - 0.5), db = step * (random.uniform() - 0.5);
      p[0] += 0.3 * step * (random.uniform() - 0.5);
      p[3] += da;
      p[4] += db;
      p[1] += da * 19.5 + 0.1 * step * (random.uniform() - 0.5);
      p[2] += db * 23.0 + 0.1 * step * (random.uniform() - 0.5);
      EXPECT_GE(objective_at(p), fit.objective * (1.0 - 1e-9));
    }
  }
}

// Four losses of e^0 and one of e^1, and a law that is a constant a: 4 h'(a) = h'(1 - a), whose right side is delta.
TEST(FitLaw, HubersFunctionTurnsLinearAtDelta) {
  std::vector<ScalingPoint> points;
  for (int i = 0; i < 5; ++i) points.push_back(make_point(1e8 * (i + 1), 1e10, i < 4 ? 1.0 : std::exp(1.0)));
  for (const double delta : {0.1, 0.4}) {
    FitRequest request;
    request.objective.delta = delta;
    request.constraints = make_law("kaplan-n")->default_constraints();
    request.constraints[2].fixed = 0.0;
    const Fit fit = fit_law(law_of("kaplan-n"), points, request);
    EXPECT_NEAR(fit.p[1], delta / 4.0, 1e-9);
    EXPECT_NEAR(fit.objective, 4 * 0.5 * fit.p[1] * fit.p[1] + delta * (1.0 - fit.p[1] - 0.5 * delta), 1e-12);
  }
}

TEST(FitLaw, IsNoWorseThanTheTruthAndThanThePublishedGrid) {
  const auto points = isoflop_points(5, 0.01, 4);
  FitRequest request;
  const Fit fit = fit_law(law_of("chinchilla"), points, request);
  double of_truth = 0.0;
  for (const ScalingPoint& point : points)
    of_truth += request.objective.of(fit.law->log_loss(kTruth, observe(point)) - std::log(point.loss));
  EXPECT_LE(fit.objective, of_truth);
}

TEST(FitLaw, HoldsWhatIsGivenAndTied) {
  const auto points = isoflop_points(9, 0.005, 5);
  FitRequest request;
  request.constraints.resize(5);
  request.constraints[0].fixed = std::log(1.7);
  request.constraints[4].tied_to = 3;
  const Fit fit = fit_law(law_of("chinchilla"), points, request);
  EXPECT_DOUBLE_EQ(fit.p[0], std::log(1.7));
  EXPECT_DOUBLE_EQ(fit.p[3], fit.p[4]);
  EXPECT_EQ(fit.n_free, 3u);
  // The same law written out: E given, one exponent.
  double least = 1e300;
  for (double alpha = 0.2; alpha < 0.5; alpha += 0.01) {
    request.constraints[3].fixed = alpha;
    request.constraints[4] = {alpha, std::nullopt};
    least = std::min(least, fit_law(law_of("chinchilla"), points, request).objective);
  }
  EXPECT_LE(fit.objective, least);
  EXPECT_GE(fit.objective, 0.9 * least);
}

TEST(FitLaw, GivesAWeightTheMeaningOfRepeatedPoints) {
  auto weighted = isoflop_points(6, 0.01, 6);
  std::vector<ScalingPoint> repeated;
  for (std::size_t i = 0; i < weighted.size(); ++i) {
    weighted[i].weight = static_cast<double>(i % 3);
    for (std::size_t k = 0; k < i % 3; ++k) {
      repeated.push_back(weighted[i]);
      repeated.back().weight = 1.0;
    }
  }
  const Fit a = fit_law(law_of("chinchilla"), weighted, {}), b = fit_law(law_of("chinchilla"), repeated, {});
  for (std::size_t j = 0; j < 5; ++j) EXPECT_NEAR(a.p[j], b.p[j], 1e-6 * std::abs(b.p[j]));
}

TEST(FitLaw, DoesNotDependOnUnitsOfLossOrSize) {
  const auto points = isoflop_points(7, 0.01, 7);
  auto scaled = points;
  for (ScalingPoint& point : scaled) {
    point.loss *= 1.4426950408889634;
    *point.at(Variable::kParams) *= 1e-6;
  }
  const Fit a = fit_law(law_of("chinchilla"), points, {}), b = fit_law(law_of("chinchilla"), scaled, {});
  EXPECT_NEAR(a.objective, b.objective, 1e-9 * a.objective);
  EXPECT_NEAR(a.p[3], b.p[3], 1e-5);
  EXPECT_NEAR(std::exp(b.p[0] - a.p[0]), 1.4426950408889634, 1e-4);
}

TEST(Identifiability, SaysWhenTokensFollowParameters) {
  const auto law = law_of("chinchilla");
  std::vector<ScalingPoint> points;
  for (double n = 1e7; n < 2e10; n *= 2.0) {
    points.push_back(make_point(n, 20.0 * n, 1.0));
    points.back().loss = std::exp(law->log_loss(kTruth, observe(points.back())));
  }
  const Fit fit = fit_law(law, points, {});
  EXPECT_FALSE(fit.identifiability.identified);
  EXPECT_NE(fit.identifiability.message.find("alpha"), std::string::npos) << fit.identifiability.message;
  EXPECT_NE(fit.identifiability.message.find("beta"), std::string::npos);
  EXPECT_LT(fit.rms, 1e-4);  // it describes the ladder all the same
}

// Sizes in millions change A, and neither what the points say nor how much of it.
TEST(Identifiability, DoesNotDependOnTheUnitOfSizes) {
  struct Case {
    std::string law;
    Parameters truth;
    std::size_t coefficient, exponent;
  };
  for (const auto& [name, truth, coefficient, exponent] :
       {Case{"chinchilla", kTruth, 1, 3},
        Case{"data-constrained", {std::log(1.8), std::log(480.0), std::log(2100.0), 0.35, 0.37, 2.7, 1.7}, 1, 3},
        Case{"kaplan-nd", {31.8, 30.5, 0.076, 0.103}, 0, 2}}) {
    const auto law = law_of(name);
    auto points = isoflop_points(9, 0.0, 1);
    for (ScalingPoint& point : points) {
      point.at(Variable::kUniqueTokens) = std::min(*point.at(Variable::kTokens), 2e9);
      point.loss = std::exp(law->log_loss(truth, observe(point)));
    }
    Fit fit = fit_law(law, points, {});
    fit.p = truth;
    const double condition = identifiability(fit, points).condition;
    for (ScalingPoint& point : points) *point.at(Variable::kParams) *= 1e-6;
    fit.p[coefficient] -= (name == "kaplan-nd" ? 1.0 : truth[exponent]) * std::log(1e6);
    EXPECT_NEAR(identifiability(fit, points).condition / condition, 1.0, 1e-6) << name;
  }
}

TEST(FitLaw, OfRepeatedDataTakesOneNumberOfUniqueTokensAndNotOneSize) {
  const Parameters truth{std::log(1.8), std::log(480.0), std::log(2100.0), 0.35, 0.37, 2.7, 1.7};
  const auto law = law_of("data-constrained");
  auto points = isoflop_points(9, 0.0, 1);
  for (ScalingPoint& point : points) {
    point.at(Variable::kUniqueTokens) = 1e9;
    point.loss = std::exp(law->log_loss(truth, observe(point)));
  }
  EXPECT_NEAR(fit_law(law, points, {}).p[5], truth[5], 0.1);
  for (ScalingPoint& point : points) point.at(Variable::kParams) = 1e9;
  try {
    fit_law(law, points, {});
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("N = 1e+09"), std::string::npos) << e.what();
    EXPECT_NE(e.hint().find("--fix alpha=VALUE"), std::string::npos) << e.hint();
  }
}

TEST(FitLaw, KeepsWhatIsTiedWithinTheBoundsOfBoth) {
  Parameters truth{std::log(1.8), 20.0, std::log(2100.0), 0.9, 0.37, 2.7, 1.7};
  const auto law = law_of("data-constrained");
  auto points = isoflop_points(9, 0.0, 1);
  for (ScalingPoint& point : points) {
    point.at(Variable::kUniqueTokens) = 1e9;
    point.loss = std::exp(law->log_loss(truth, observe(point)));
  }
  FitRequest request;
  request.constraints.resize(7);
  tie(request.constraints, *law, 1, 5);  // A, to e^80, and R_D*, to e^16
  const Fit fit = fit_law(law, points, request);
  EXPECT_EQ(fit.p[1], fit.p[5]);
  EXPECT_LE(fit.p[5], law->parameters()[5].hi);
}

// What a fit under the constraints is refused with; empty where it is not.
std::string refusal(const std::vector<ScalingPoint>& points, const Constraints& constraints) {
  FitRequest request;
  request.constraints = constraints;
  try {
    fit_law(law_of("chinchilla"), points, request);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_FALSE(e.hint().empty());
    return e.what();
  }
  return "";
}

TEST(FitLaw, GivesWhatIsTiedToAGivenParameter) {
  const auto points = isoflop_points(6, 0.005, 5);
  FitRequest tied, given;
  tied.constraints.resize(5);
  tied.constraints[3].fixed = 0.36;
  given.constraints = tied.constraints;
  tied.constraints[4].tied_to = 3;
  given.constraints[4].fixed = 0.36;
  const Fit a = fit_law(law_of("chinchilla"), points, tied), b = fit_law(law_of("chinchilla"), points, given);
  EXPECT_EQ(a.p, b.p);
  EXPECT_EQ(a.n_free, 3u);
  tied.constraints[4].fixed = 0.36;
  EXPECT_NE(refusal(points, tied.constraints).find("beta is both given and tied to alpha"), std::string::npos);
}

TEST(FitLaw, RefusesToFitNothing) {
  Constraints constraints(5);
  for (std::size_t j = 0; j < 5; ++j) constraints[j].fixed = kTruth[j];
  EXPECT_NE(refusal(isoflop_points(6, 0.01, 8), constraints).find("nothing is left to fit"), std::string::npos);
}

void expect_error(const std::vector<ScalingPoint>& points, const std::string& says,
                  const std::string& law = "chinchilla") {
  try {
    fit_law(law_of(law), points, {});
    FAIL() << "no error: " << says;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
    EXPECT_FALSE(e.hint().empty());
  }
}

TEST(FitLaw, RefusesWhatCannotBeFittedAndSaysWhy) {
  const auto good = isoflop_points(6, 0.01, 8);
  expect_error({good.begin(), good.begin() + 5}, "5 free parameters, and there are 5 points");
  auto bad = good;
  for (ScalingPoint& point : bad) point.at(Variable::kParams) = 1e9;
  expect_error(bad, "have N = 1e+09");
  bad = good;
  bad[3].loss = -1.0;
  expect_error(bad, "the loss is -1");
  bad[3].loss = NAN;
  expect_error(bad, "the loss is nan");
  bad = good;
  bad[3].at(Variable::kTokens) = 0.0;
  expect_error(bad, "D is 0");
  bad[3].at(Variable::kTokens) = std::nullopt;
  expect_error(bad, "no D");
  expect_error(good, "no S", "training");
}

TEST(BootstrapFits, DoNotDependOnThreads) {
  const auto points = isoflop_points(5, 0.01, 9);
  const Fit fit = fit_law(law_of("chinchilla"), points, {});
  const Refits one = bootstrap_fits(fit, points, 40, 3, 1), three = bootstrap_fits(fit, points, 40, 3, 3);
  EXPECT_EQ(one.resampled, three.resampled);
  EXPECT_EQ(one.left_out, three.left_out);
}

TEST(NumpyDraws, AreThoseOfNumpy) {
  // numpy.random.seed(42); two of numpy.random.choice(5, 5)
  EXPECT_EQ(numpy_draws(5, 2, 42), (std::vector<std::vector<std::uint32_t>>{{3, 4, 2, 4, 4}, {1, 2, 2, 2, 4}}));
  // numpy.random.seed(7); two of numpy.random.choice(240, 240): the first eight of the one, the last six of the other
  const auto draws = numpy_draws(240, 2, 7);
  const std::vector<std::uint32_t> first{175, 196, 25, 67, 211, 151, 103, 92}, last{201, 91, 211, 43, 178, 84};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), draws[0].begin()));
  EXPECT_TRUE(std::equal(last.begin(), last.end(), draws[1].end() - 6));
}

TEST(BootstrapFits, SpreadAsAMeanDoes) {
  // With its exponent given, kaplan-n's log A is the mean of log L + alpha log N: its standard error is known.
  const auto points = isoflop_points(9, 0.02, 12);
  FitRequest request = request_of(ObjectiveKind::kLeastSquares);
  request.constraints = make_law("kaplan-n")->default_constraints();
  request.constraints[2].fixed = 0.08;
  const Fit fit = fit_law(law_of("kaplan-n"), points, request);
  double mean = 0.0, squares = 0.0;
  const auto n = static_cast<double>(points.size());
  const auto value = [](const ScalingPoint& p) { return std::log(p.loss) + 0.08 * std::log(*p.at(Variable::kParams)); };
  for (const ScalingPoint& point : points) mean += value(point) / n;
  for (const ScalingPoint& point : points) squares += std::pow(value(point) - mean, 2);
  EXPECT_NEAR(fit.p[1], mean, 1e-9);
  const Refits refits = bootstrap_fits(fit, points, 1000, 1, 2);
  EXPECT_NEAR(bootstrap_se(refits, [](const Parameters& p) { return p[1]; }).value() / (std::sqrt(squares) / n), 1.0,
              0.08);
}

// a = sum d^3 / (6 (sum d^2)^1.5), d_i the mean of the estimates with a point left out less that without point i.
TEST(BootstrapFits, BcaTakesTheJackknifesAcceleration) {
  const auto points = isoflop_points(5, 0.02, 13);
  const Fit fit = fit_law(law_of("chinchilla"), points, {});
  const Refits refits = bootstrap_fits(fit, points, 200, 1, 2);
  const Quantity quantity = [](const Parameters& p) { return std::exp(p[2]); };  // B: far from symmetric
  std::vector<double> replicates;
  for (const Parameters& p : refits.resampled) replicates.push_back(quantity(p));
  double mean = 0.0, squares = 0.0, cubes = 0.0;
  for (const Parameters& p : refits.left_out) mean += quantity(p) / static_cast<double>(points.size());
  for (const Parameters& p : refits.left_out) {
    squares += std::pow(mean - quantity(p), 2);
    cubes += std::pow(mean - quantity(p), 3);
  }
  const double a = cubes / (6.0 * std::pow(squares, 1.5));
  ASSERT_GT(std::abs(a), 0.01);
  const auto expected = bootstrap_interval(replicates, quantity(fit.p), a, 0.95, IntervalMethod::kBca),
             found = bootstrap_interval(refits, fit, quantity, 0.95, IntervalMethod::kBca);
  EXPECT_NEAR(found->lo, expected->lo, 1e-9 * expected->lo);
  EXPECT_NEAR(found->hi, expected->hi, 1e-9 * expected->hi);
}

// An L1 minimum goes through five points, whatever the resample; what tells its uncertainty must not.
TEST(BootstrapFits, OfL1AreOfItsRoundedObjective) {
  const auto points = isoflop_points(9, 0.0076, 9);
  const Fit fit = fit_law(law_of("chinchilla"), points, request_of(ObjectiveKind::kL1));
  const Refits refits = bootstrap_fits(fit, points, 100, 1, 2);
  ASSERT_TRUE(refits.centre);
  const auto n_through = [&](const Parameters& p) {
    return std::count_if(points.begin(), points.end(), [&](const ScalingPoint& point) {
      return std::abs(fit.law->log_loss(p, observe(point)) - std::log(point.loss)) < 1e-7;
    });
  };
  EXPECT_EQ(n_through(fit.p), 5);
  EXPECT_LE(n_through(*refits.centre), 1);
  EXPECT_LE(n_through(refits.resampled[7]), 1);
  const double se = *bootstrap_se(refits, [](const Parameters& p) { return p[3]; });
  EXPECT_LT(std::abs((*refits.centre)[3] - fit.p[3]), se);
  FitRequest huber;  // the default's delta is about as wide here
  const Fit near = fit_law(law_of("chinchilla"), points, huber);
  EXPECT_NEAR(*bootstrap_se(bootstrap_fits(near, points, 100, 1, 2), [](const Parameters& p) { return p[3]; }) / se,
              1.0, 0.15);
}

TEST(BootstrapFits, HaveNoStandardErrorWhereARefitHasNoNumber) {
  const auto points = isoflop_points(5, 0.02, 13);
  const Refits refits = bootstrap_fits(fit_law(law_of("chinchilla"), points, {}), points, 100, 1, 2);
  EXPECT_TRUE(bootstrap_se(refits, [](const Parameters& p) { return p[3]; }));
  int n = 0;
  EXPECT_FALSE(bootstrap_se(refits, [&](const Parameters& p) { return p[3] / (++n == 7 ? 0.0 : 1.0); }));
}

class RefitsOf : public testing::TestWithParam<ObjectiveKind> {};
INSTANTIATE_TEST_SUITE_P(Objectives, RefitsOf, testing::ValuesIn(kKinds));

TEST_P(RefitsOf, FindWhatASearchFromScratchFinds) {
  const auto points = isoflop_points(6, 0.01, 10);
  const FitRequest request = request_of(GetParam());
  const Fit fit = fit_law(law_of("chinchilla"), points, request);
  Random random(1, 1);
  for (int b = 0; b < 20; ++b) {
    auto resampled = points;
    std::vector<double> weights(points.size(), 0.0);
    for (std::size_t i = 0; i < points.size(); ++i)
      weights[random.below(static_cast<std::uint32_t>(points.size()))] += 1.0;
    for (std::size_t i = 0; i < points.size(); ++i) resampled[i].weight = weights[i];
    const Fit scratch = fit_law(law_of("chinchilla"), resampled, request);
    const Parameters warm = refit(fit, points, weights);
    double objective = 0.0;
    for (std::size_t i = 0; i < points.size(); ++i)
      objective +=
          weights[i] * fit.request.objective.of(fit.law->log_loss(warm, observe(points[i])) - std::log(points[i].loss));
    EXPECT_NEAR(objective, scratch.objective, 1e-6 * scratch.objective);
  }
}

TEST(ProfileInterval, IsStudentsIntervalWhereTheLawIsALine) {
  // kaplan-n is log L = a - alpha log N: a straight line, whose exact interval is known.
  const double slope = 0.08;
  std::vector<ScalingPoint> points;
  Random random(4, 4);
  double mean = 0.0, xx = 0.0;
  for (int i = 0; i < 12; ++i)
    points.push_back(make_point(1e7 * std::pow(2.0, i), 1e10,
                                std::exp(3.0 - slope * std::log(1e7 * std::pow(2.0, i)) + 0.01 * normal_draw(random))));
  const Fit fit = fit_law(law_of("kaplan-n"), points, request_of(ObjectiveKind::kLeastSquares));
  for (const ScalingPoint& point : points) mean += std::log(*point.at(Variable::kParams)) / 12.0;
  for (const ScalingPoint& point : points) xx += std::pow(std::log(*point.at(Variable::kParams)) - mean, 2);
  const double half = 2.228138852 * std::sqrt(fit.objective / 10.0 / xx);  // t of 10 degrees of freedom
  const auto interval = profile_interval(fit, points, 2, 0.95);
  ASSERT_TRUE(interval);
  EXPECT_NEAR(interval->lo, fit.p[2] - half, 1e-4 * half);
  EXPECT_NEAR(interval->hi, fit.p[2] + half, 1e-4 * half);
  EXPECT_FALSE(profile_interval(fit, points, 0, 0.95));  // E is given
  // Of the line at a point: s sqrt(1 / n + (x - mean)^2 / xx).
  const ScalingPoint at = make_point(1e12, 1e10, 1.0);
  const double off = std::log(1e12) - mean,
               of_line = 2.228138852 * std::sqrt(fit.objective / 10.0 * (1.0 / 12.0 + off * off / xx));
  const auto predicted = profile_prediction(fit, points, at, 0.95);
  EXPECT_NEAR(std::log(predicted->hi) - std::log(fit.predict(at)), of_line, 2e-3 * of_line);
  EXPECT_NEAR(std::log(fit.predict(at)) - std::log(predicted->lo), of_line, 2e-3 * of_line);
}

TEST(ProfileInterval, OfATiedParameterMovesBoth) {
  const auto points = isoflop_points(7, 0.01, 14);
  FitRequest request = request_of(ObjectiveKind::kLeastSquares);
  request.constraints.resize(5);
  request.constraints[4].tied_to = 3;
  const Fit fit = fit_law(law_of("chinchilla"), points, request);
  const auto interval = profile_interval(fit, points, 3, 0.95);
  ASSERT_TRUE(interval);
  // The objective of the law with both exponents at an end is what the interval allows: t of 63 - 4 degrees of freedom.
  const double allowed = fit.objective * 2.000995378 * 2.000995378 / 59.0;
  for (const double end : {interval->lo, interval->hi}) {
    request.constraints[3].fixed = end;
    request.constraints[4] = {end, std::nullopt};
    EXPECT_NEAR(fit_law(law_of("chinchilla"), points, request).objective - fit.objective, allowed, 1e-3 * allowed);
  }
}

TEST(ProfileInterval, DoesNotDependOnTheUnitOfTheWeights) {
  const auto points = isoflop_points(7, 0.01, 15);
  auto heavy = points, more = points;
  for (ScalingPoint& point : heavy) point.weight = 100.0;
  for (const ScalingPoint& point : isoflop_points(7, 0.5, 16)) {
    more.push_back(point);
    more.back().weight = 0.0;
  }
  for (const ObjectiveKind kind : kKinds) {
    const Fit fit = fit_law(law_of("chinchilla"), points, request_of(kind));
    const auto expected = profile_interval(fit, points, 3, 0.95);
    ASSERT_TRUE(expected);
    for (const auto& same : {heavy, more}) {
      const Fit again = fit_law(law_of("chinchilla"), same, request_of(kind));
      const auto found = profile_interval(again, same, 3, 0.95);
      ASSERT_TRUE(found);
      EXPECT_NEAR(found->lo, expected->lo, 1e-3 * (expected->hi - expected->lo)) << static_cast<int>(kind);
      EXPECT_NEAR(found->hi, expected->hi, 1e-3 * (expected->hi - expected->lo)) << static_cast<int>(kind);
    }
  }
}

TEST(HoldOut, FitsBelowTheCutOffAlone) {
  auto points = isoflop_points(7, 0.0, 11);
  for (ScalingPoint& point : points) {
    if (flops_of(point) > 5e20) point.loss *= 1.05;  // what the small ones cannot know
  }
  const Fit fit = fit_law(law_of("chinchilla"), points, {});
  const HoldOut held = hold_out(fit, points, 5e20);
  EXPECT_EQ(held.n_below, 42u);
  EXPECT_EQ(held.n_above, 21u);
  EXPECT_NEAR(held.bias, -std::log(1.05), 1e-5);
  EXPECT_NEAR(held.rms, std::log(1.05), 1e-5);
  const double cut_off = flops_of(points[45]);  // who has exactly that is predicted
  EXPECT_EQ(hold_out(fit, points, cut_off).n_above,
            static_cast<std::size_t>(std::count_if(
                points.begin(), points.end(), [&](const ScalingPoint& point) { return flops_of(point) >= cut_off; })));
  for (const double beyond : {1e30, 1e18}) EXPECT_THROW(hold_out(fit, points, beyond), Error) << beyond;
}

}  // namespace
}  // namespace lmbits
