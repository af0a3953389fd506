#include "src/scaling/law.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/scaling/known_law.h"
#include "src/scaling/published.h"
#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

// Parameters near those of real models, one set a law.
Parameters some_parameters(const std::string& law) {
  if (law == "kaplan-nd") return {31.8, 30.5, 0.076, 0.103};
  if (law == "data-constrained") return {0.62, 6.25, 7.3, 0.35, 0.37, 2.7, 1.6};
  if (law == "gzip") return {1.0, 100.0, 900.0, 0.2, 0.3, 1.5, 400.0, 2000.0, 0.3, 0.1};
  if (law == "chinchilla" || law == "training") return kTruth;
  return {0.3, 4.0, 0.2};
}

std::vector<Observation> some_observations() {
  std::vector<Observation> all;
  for (const double n : {1e7, 3e9}) {
    for (const double d : {2e8, 4e11}) {
      ScalingPoint point = make_point(n, d, 2.0);
      point.at(Variable::kUniqueTokens) = d / 7.3;
      point.at(Variable::kComplexity) = 0.4;
      point.at(Variable::kSteps) = 3000.0;
      all.push_back(observe(point));
    }
  }
  return all;
}

TEST(Law, GradientIsTheSlopeOfTheValue) {
  for (const std::string& name : law_names()) {
    const auto law = make_law(name, true);
    const Parameters p = some_parameters(name);
    for (const Observation& x : some_observations()) {
      LogLoss at;
      law->evaluate(p, x, at);
      EXPECT_NEAR(at.value, law->log_loss(p, x), 1e-13) << name;
      for (std::size_t j = 0; j < law->parameters().size(); ++j) {
        const double h = 1e-5 * std::max(1.0, std::abs(p[j]));
        Parameters up = p, down = p;
        up[j] += h;
        down[j] -= h;
        const double slope = (law->log_loss(up, x) - law->log_loss(down, x)) / (2.0 * h);
        EXPECT_NEAR(at.gradient[j], slope, 1e-6 * (1.0 + std::abs(slope))) << name << " " << law->parameters()[j].name;
      }
    }
  }
}

TEST(Law, CurvatureOfPowerSumsIsTheSlopeOfTheGradient) {
  const auto law = make_law("chinchilla");
  for (const Observation& x : some_observations()) {
    LogLoss at, up, down;
    law->evaluate(kTruth, x, at);
    for (std::size_t j = 0; j < 5; ++j) {
      Parameters more = kTruth, less = kTruth;
      more[j] += 1e-5;
      less[j] -= 1e-5;
      law->evaluate(more, x, up);
      law->evaluate(less, x, down);
      for (std::size_t k = 0; k <= j; ++k)
        EXPECT_NEAR(at.curvature[j][k], (up.gradient[k] - down.gradient[k]) / 2e-5,
                    1e-6 * (1.0 + std::abs(at.curvature[j][k])))
            << j << k;
    }
  }
}

TEST(Law, IsStableWhereTheTermsOverflow) {
  const auto law = make_law("chinchilla");
  const Observation x = observe(make_point(1e9, 1e10, 2.0));
  EXPECT_NEAR(law->log_loss({0.0, 2000.0, 5.0, 0.0, 0.0}, x), 2000.0, 1e-12);
  EXPECT_NEAR(law->log_loss({-900.0, -2000.0, -950.0, 0.0, 0.0}, x), -900.0, 1e-12);
}

TEST(Law, DataConstrainedIsChinchillaWhileNothingRepeats) {
  const auto plain = make_law("chinchilla"), constrained = make_law("data-constrained");
  Parameters p = some_parameters("data-constrained");
  ScalingPoint point = make_point(1e8, 1e12, 2.0);  // far fewer parameters than optimal: no excess of either kind
  point.at(Variable::kUniqueTokens) = 1e12;
  EXPECT_NEAR(constrained->log_loss(p, observe(point)), plain->log_loss(p, observe(point)), 1e-12);
  point.at(Variable::kUniqueTokens) = 5e12;  // more unique tokens than are trained on change nothing
  EXPECT_NEAR(constrained->log_loss(p, observe(point)), plain->log_loss(p, observe(point)), 1e-12);
}

TEST(Law, RepeatedTokensAreWorthLessButNeverMoreThanUniqueTimesOnePlusR) {
  const Parameters p = some_parameters("data-constrained");
  const double unique = std::log(1e9), r_star = std::exp(p[5]);
  double last = 0.0;
  for (const double epochs : {1.0, 2.0, 4.0, 16.0, 1000.0}) {
    const double effective = std::exp(effective_scale(p, std::log(1e6), unique + std::log(epochs), unique).log_d);
    EXPECT_GE(effective, last);
    EXPECT_LE(effective, epochs * 1e9 * (1 + 1e-12));
    EXPECT_LE(effective, 1e9 * (1.0 + r_star));
    last = effective;
  }
  EXPECT_NEAR(last / 1e9, 1.0 + r_star, 1e-6);
}

TEST(ComputeOptimal, IsTheLowestLossAtItsCompute) {
  const auto law = make_law("chinchilla");
  for (const double flops : {1e18, 5.76e23}) {
    const Allocation best = compute_optimal(kTruth, flops);
    EXPECT_NEAR(6.0 * best.n * best.d / flops, 1.0, 1e-12);
    for (const double factor : {0.5, 0.98, 1.02, 2.0})
      EXPECT_GT(std::exp(law->log_loss(kTruth, observe(make_point(best.n * factor, best.d / factor, 1.0)))), best.loss);
    const Allocation searched = compute_optimal(*law, kTruth, flops);
    EXPECT_NEAR(searched.n / best.n, 1.0, 1e-6);
    EXPECT_NEAR(searched.loss, best.loss, 1e-12);
  }
}

TEST(ComputeOptimal, GivesThePublishedSizes) {
  const auto at = [](const char* name) { return compute_optimal(find_published(name)->p, 5.76e23); };
  EXPECT_NEAR(at("hoffmann2022-rounded").n, 3.22e10, 5e7);
  EXPECT_NEAR(at("hoffmann2022-rounded").d / at("hoffmann2022-rounded").n, 92.6, 0.05);
  EXPECT_NEAR(at("hoffmann2022").n, 4.03e10, 5e7);
  EXPECT_NEAR(at("hoffmann2022").d / at("hoffmann2022").n, 59.1, 0.05);
  EXPECT_NEAR(at("besiroglu2024").d / at("besiroglu2024").n, 18.4, 0.05);
}

TEST(Kaplan, GivesThePublishedLosses) {
  EXPECT_NEAR(kaplan::loss_of_params(1.5e9), 2.3036, 5e-5);
  EXPECT_NEAR(kaplan::loss_of_tokens(2.3e10), 2.0903, 5e-5);
  EXPECT_NEAR(find_law("kaplan2020").loss(make_point(1.5e9, 2.3e10, 1.0)), 2.3101, 5e-5);
  EXPECT_NEAR(find_law("kaplan2020-n").loss(make_point(1.5e9, 2.3e10, 1.0)), 2.3036, 5e-5);
}

TEST(Kaplan, ContradictsItselfWhereThePaperSays) {
  const Contradiction c = kaplan_contradiction({});
  EXPECT_NEAR(std::log10(c.pf_days), 4.0, 0.1);
  EXPECT_NEAR(std::log10(c.n), 12.0, 0.1);
  EXPECT_NEAR(c.loss, 1.7, 0.05);
  EXPECT_NEAR(c.loss, kaplan::loss_of_tokens(c.d), 1e-9);  // where the two laws agree
}

TEST(FindLaw, ReadsParametersAndRefusesWhatIsNone) {
  EXPECT_NEAR(find_law("E=1.8,A=480,B=2100,alpha=.35,beta=.37").p[1], std::log(480.0), 1e-15);
  EXPECT_NEAR(find_law("kaplan-n:A=11.4,alpha=0.076").p[2], 0.076, 1e-15);
  EXPECT_THROW(find_law("E=1.8,A=480,B=2100,alpha=.35"), Error);
  EXPECT_THROW(find_law("E=1.8,A=x,B=2100,alpha=.35,beta=1"), Error);
  EXPECT_THROW(find_law("E=1.8,Z=1"), Error);
  EXPECT_THROW(find_law("hofmann2022"), Error);
}

TEST(KnownLaw, AGzipLawIsAChinchillaLawAtEachH) {
  KnownLaw gzip =
      find_law("gzip:n_E=1,n_A=100,n_B=900,n_alpha=.2,n_beta=.3,m_E=1.5,m_A=400,m_B=2000,m_alpha=.3,m_beta=.1");
  ScalingPoint point = make_point(1e8, 1e10, 1.0);
  point.at(Variable::kComplexity) = 0.4;
  EXPECT_NEAR(at_complexity(gzip, 0.4).loss(point), gzip.loss(point), 1e-12);
  EXPECT_THROW(at_complexity(find_law("hoffmann2022"), 0.4), Error);
  gzip.p[5] = -10.0;
  EXPECT_THROW(at_complexity(gzip, 0.4), Error);  // E below 0
}

TEST(Given, RefusesWhatIsOutOfBounds) {
  const auto parameters = make_law("chinchilla")->parameters();
  EXPECT_EQ(given(parameters[1], 480.0).fixed, std::log(480.0));
  EXPECT_EQ(given(parameters[0], 0.0).fixed, parameters[0].lo);  // no irreducible loss
  for (const auto& [j, value, says] : {std::tuple{3, 9.0, "alpha cannot be 9: it lies between 0 and 4"},
                                       {3, -0.1, "alpha cannot be -0.1"},
                                       {1, -480.0, "A cannot be -480"}}) {
    try {
      given(parameters[static_cast<std::size_t>(j)], value);
      FAIL() << "no error: " << says;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
    }
  }
}

TEST(Tie, RefusesALogarithmAndAnExponent) {
  const auto law = make_law("chinchilla");
  Constraints constraints(5);
  tie(constraints, *law, 3, 4);
  EXPECT_EQ(constraints[4].tied_to, 3u);
  EXPECT_THROW(tie(constraints, *law, 3, 3), Error);
  try {
    tie(constraints, *law, 3, 1);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(e.what()).find("alpha cannot be tied to A"), std::string::npos) << e.what();
  }
}

TEST(Tie, TwoThatShareAParameterMakeAllThreeOne) {
  const auto law = make_law("chinchilla");
  Constraints constraints(5);
  tie(constraints, *law, 0, 2);
  tie(constraints, *law, 2, 1);
  const Constraints found = resolved(*law, constraints);
  EXPECT_FALSE(found[0].tied_to);
  EXPECT_EQ(found[1].tied_to, 0u);
  EXPECT_EQ(found[2].tied_to, 0u);
}

TEST(Law, TellsTheStartsOfWhatIsFree) {
  const auto law = make_law("chinchilla");
  Constraints constraints(5);
  EXPECT_EQ(law->start_grid(constraints).find("16 x 16 exponents"), 0u);
  constraints[4].tied_to = 3;
  EXPECT_EQ(law->start_grid(constraints).find("16 exponents"), 0u);
  constraints[3].fixed = 0.3;
  EXPECT_EQ(law->start_grid(constraints).find("given exponents"), 0u);
}

TEST(Resolved, TiesToFreeParametersAlone) {
  const auto law = make_law("chinchilla");
  Constraints constraints(5);
  constraints[1].tied_to = 0;
  constraints[2].tied_to = 1;
  EXPECT_EQ(resolved(*law, constraints)[2].tied_to, 0u);
  constraints[0].fixed = 0.5;
  EXPECT_EQ(resolved(*law, constraints)[2].fixed, 0.5);
  EXPECT_FALSE(resolved(*law, constraints)[2].tied_to);
}

TEST(Blended, IsLinearInEachParameter) {
  const KnownLaw a = find_law("hoffmann2022"), b = find_law("besiroglu2024");
  EXPECT_NEAR(blended(a, b, 0.0).p[1], a.p[1], 1e-12);
  EXPECT_NEAR(blended(a, b, 1.0).p[1], b.p[1], 1e-12);
  EXPECT_NEAR(std::exp(blended(a, b, 0.25).p[2]), 0.75 * 410.7 + 0.25 * 2085.43, 1e-9);
  EXPECT_NEAR(blended(a, b, 0.25).p[3], 0.75 * 0.3392 + 0.25 * 0.3478, 1e-12);
  EXPECT_THROW(blended(a, find_law("kaplan2020"), 0.5), Error);
}

TEST(Blended, RefusesLawsOfTwoUnits) {
  const KnownLaw nats = find_law("hoffmann2022");
  KnownLaw bits = nats;
  bits.unit = LossUnit::kBitsPerByte;
  try {
    blended(nats, bits, 0.5);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(e.what()).find("nats/token"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("bits/byte"), std::string::npos) << e.what();
  }
}

// Two fits of equally many points draw the same places by the same seed.
TEST(Blended, TakesTheRefitsOfBothAsIndependent) {
  KnownLaw law = find_law("hoffmann2022");
  Random random(1, 1);
  const auto scattered = [&] {
    Parameters p = law.p;
    p[3] += 0.01 * normal_draw(random);
    return p;
  };
  for (int i = 0; i < 2000; ++i) law.refits.resampled.push_back(scattered());
  for (int i = 0; i < 40; ++i) law.refits.left_out.push_back(scattered());
  KnownLaw other = law;
  const auto sd = [](const KnownLaw& of) {
    double squares = 0.0;
    for (const Parameters& p : of.refits.resampled) squares += std::pow(p[3] - of.p[3], 2);
    return std::sqrt(squares / static_cast<double>(of.refits.resampled.size()));
  };
  const KnownLaw both = blended(law, other, 0.5);
  EXPECT_NEAR(sd(both) / sd(law), std::sqrt(0.5), 0.03);
  EXPECT_EQ(both.refits.left_out.size(), 80u);
  EXPECT_NEAR(both.refits.left_out[7][3], 0.5 * (law.refits.left_out[7][3] + law.p[3]), 1e-12);
  EXPECT_NEAR(both.refits.left_out[47][3], 0.5 * (law.refits.left_out[7][3] + law.p[3]), 1e-12);
  other.refits.resampled.resize(300);
  EXPECT_EQ(blended(law, other, 0.5).refits.resampled.size(), 300u);
  other.refits = {};
  EXPECT_NEAR(sd(blended(law, other, 0.5)) / sd(law), 0.5, 1e-9);
}

TEST(KnownLaw, ComesBackFromItsFileToTheLastBit) {
  KnownLaw law = find_law("besiroglu2024");
  law.refits.resampled = {law.p, kTruth};
  law.refits.left_out = {kTruth};
  law.refits.centre = kTruth;
  const KnownLaw back = known_law_from_json(Json::parse(to_json(law).dump()), "a file");
  EXPECT_EQ(back.p, law.p);
  EXPECT_EQ(back.refits.resampled, law.refits.resampled);
  EXPECT_EQ(back.refits.left_out, law.refits.left_out);
  EXPECT_EQ(back.refits.centre, law.refits.centre);
  EXPECT_EQ(back.law->name(), "chinchilla");
  Json other = to_json(law);
  other["schema"] = 99;
  EXPECT_THROW(known_law_from_json(other, "a file"), Error);
  other = to_json(law);
  other["unit"] = "furlongs";
  EXPECT_THROW(known_law_from_json(other, "a file"), Error);
  EXPECT_THROW(known_law_from_json(Json::object(), "a file"), Error);
}

}  // namespace
}  // namespace lmbits
