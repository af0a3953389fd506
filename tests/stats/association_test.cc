// Correlation, regression, and what is made of them, against scipy and statsmodels (scripts/make_stats_fixtures.py).
#include "src/stats/association.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "src/core/file.h"
#include "src/core/json.h"
#include "src/stats/correlation.h"
#include "src/stats/normal.h"
#include "src/stats/order_numbers.h"
#include "src/stats/permutation_tests.h"
#include "src/stats/random.h"
#include "src/stats/regression.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

const Json& fixture() {
  static const Json json = [] {
    const char* source = std::getenv("LMBITS_SOURCE_DIR");
    return Json::parse(
        read_file(std::filesystem::path(source == nullptr ? "." : source) / "tests/data/stats/association.json"));
  }();
  return json;
}

using Values = std::vector<double>;

struct Case {
  Values x, y, z;
  double level;
  Json expected;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Json& c : fixture()["cases"])
    all.push_back({c["x"].get<Values>(), c["y"].get<Values>(), c["z"].get<Values>(), c["level"].get<double>(), c});
  return all;
}

void expect_near(const std::optional<double>& value, const Json& expected, const char* what, double tolerance = 1e-10) {
  ASSERT_TRUE(value) << what;
  EXPECT_NEAR(*value, expected.get<double>(), tolerance * std::max(1.0, std::abs(expected.get<double>()))) << what;
}

void expect_near(const std::optional<Interval>& interval, const Json& expected, const char* what,
                 double tolerance = 1e-10) {
  ASSERT_TRUE(interval) << what;
  expect_near(std::optional(interval->lo), expected[0], what, tolerance);
  expect_near(std::optional(interval->hi), expected[1], what, tolerance);
}

TEST(StudentT, IsScipys) {
  for (const Json& c : fixture()["student_t"]) {
    const double df = c["df"], t = c["t"], two_sided = c["two_sided"];
    EXPECT_NEAR(student_t_two_sided(t, df), two_sided, 1e-11 * two_sided + 1e-300) << t << " " << df;
    EXPECT_NEAR(student_t_quantile(c["p"], df) / c["quantile"].get<double>(), 1.0, 1e-10) << c["p"] << " " << df;
  }
  EXPECT_EQ(student_t_quantile(0.5, 3.0), 0.0);
  EXPECT_DOUBLE_EQ(student_t_quantile(0.1, 3.0), -student_t_quantile(0.9, 3.0));
}

TEST(Correlation, IsScipysWithTiesAndWithout) {
  for (const Case& c : cases()) {
    expect_near(correlation(Correlation::kPearson, c.x, c.y), c.expected["pearson"], "pearson");
    expect_near(correlation(Correlation::kSpearman, c.x, c.y), c.expected["spearman"], "spearman");
    expect_near(correlation(Correlation::kKendall, c.x, c.y), c.expected["kendall"], "kendall");
    expect_near(partial_correlation(c.x, c.y, c.z), c.expected["partial"], "partial");
    EXPECT_EQ(mid_ranks(c.x), c.expected["ranks"].get<Values>());
    const double r = *correlation(Correlation::kPearson, c.x, c.y);
    expect_near(fisher_z_interval(Correlation::kPearson, r, c.x.size(), c.level), c.expected["pearson_interval"],
                "fisher z");
    const double p = c.expected["pearson_p"];
    EXPECT_NEAR(*pearson_t_test(r, c.x.size()) / p, 1.0, 1e-10);
  }
}

TEST(Correlation, IntervalsLoseAPointForEachThingHeldFixed) {
  const auto fixed = fisher_z_interval(Correlation::kPearson, -0.8, 20, 0.95, 1);
  const auto fewer = fisher_z_interval(Correlation::kPearson, -0.8, 19, 0.95);
  EXPECT_DOUBLE_EQ(fixed->lo, fewer->lo);
  // The factors are the papers': 1 + r^2 / 2 for rho, 0.437 and n - 4 for tau.
  const auto width = [](Correlation kind, double r, std::size_t n) {
    const auto interval = *fisher_z_interval(kind, r, n, 0.95);
    return std::atanh(interval.hi) - std::atanh(interval.lo);
  };
  EXPECT_NEAR(width(Correlation::kSpearman, 0.6, 20) / width(Correlation::kPearson, 0.6, 20), std::sqrt(1.18), 1e-12);
  EXPECT_NEAR(width(Correlation::kKendall, 0.6, 21) / width(Correlation::kPearson, 0.6, 20), std::sqrt(0.437), 1e-12);
}

TEST(Correlation, IsUndefinedForAConstantSideAndUnderTwoPairs) {
  for (const Correlation kind : {Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall}) {
    EXPECT_FALSE(correlation(kind, Values{0.1, 0.1, 0.1}, Values{1.0, 2.0, 3.0}));
    EXPECT_FALSE(correlation(kind, Values{1.0, 2.0, 3.0}, Values{0.3, 0.3, 0.3}));
    EXPECT_FALSE(correlation(kind, Values{1.0}, Values{2.0}));
    EXPECT_FALSE(correlation(kind, Values{}, Values{}));
    EXPECT_FALSE(permutation_test(kind, Values{1.0, 2.0, 3.0}, Values{0.3, 0.3, 0.3}, 99, 1));
    EXPECT_FALSE(fisher_z_interval(kind, 0.5, 3, 0.95));
    EXPECT_FALSE(fisher_z_interval(kind, 1.0, 30, 0.95));
  }
}

TEST(Correlation, OfRanksIgnoresScaleAndOfValuesIgnoresUnits) {
  const Case c = cases()[3];
  Values bent = c.x, scaled = c.x;
  for (double& x : bent) x = std::exp(20.0 * x);
  for (double& x : scaled) x = 5.0 - 0.25 * x;
  for (const Correlation kind : {Correlation::kSpearman, Correlation::kKendall})
    EXPECT_NEAR(*correlation(kind, bent, c.y), *correlation(kind, c.x, c.y), 1e-12);
  for (const Correlation kind : {Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall})
    EXPECT_NEAR(*correlation(kind, scaled, c.y), -*correlation(kind, c.x, c.y), 1e-12);
}

TEST(PermutationTest, CountsAllPairingsOfAFewPairs) {
  for (const Case& c : cases()) {
    if (!c.expected.contains("pearson_permutation_p")) continue;
    const auto test = [&](Correlation kind) { return permutation_test(kind, c.x, c.y, 99, 1); };
    EXPECT_TRUE(test(Correlation::kPearson)->exact);
    EXPECT_NEAR(test(Correlation::kPearson)->p, c.expected["pearson_permutation_p"].get<double>(), 1e-12);
    EXPECT_NEAR(test(Correlation::kSpearman)->p, c.expected["spearman_permutation_p"].get<double>(), 1e-12);
    EXPECT_NEAR(test(Correlation::kKendall)->p, c.expected["kendall_permutation_p"].get<double>(), 1e-12);
  }
}

TEST(PermutationTest, OfKendallsIsExactWithoutTies) {
  int n_checked = 0;
  for (const Case& c : cases()) {
    if (!c.expected.contains("kendall_exact_p") || c.x.size() > 100) continue;
    const auto test = permutation_test(Correlation::kKendall, c.x, c.y, 99, 1);
    EXPECT_TRUE(test->exact);
    EXPECT_NEAR(test->p, c.expected["kendall_exact_p"].get<double>(), 1e-10);
    ++n_checked;
  }
  EXPECT_GE(n_checked, 4);
}

// One point apart from eleven others on both sides: a pairing puts them together again in one of 12.
TEST(PermutationTest, DrawsPairingsEvenly) {
  Values x(12, 0.0), y(12, 0.0);
  x[7] = y[7] = 1.0;
  for (const Correlation kind : {Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall}) {
    const auto test = permutation_test(kind, x, y, 19999, 1);
    EXPECT_FALSE(test->exact);
    EXPECT_EQ(test->n_permutations, 19999);
    EXPECT_NEAR(test->p, 1.0 / 12.0, 0.008);  // four standard errors
  }
}

// A shuffle moves a value to each place alike. Draws go on from the one before, so a lopsided shuffle shows in the first.
TEST(PermutationTest, OneShuffleLeavesEachPlaceAloneAsOftenAsAnyOther) {
  constexpr int kSeeds = 20000;
  for (std::size_t place = 0; place < 12; ++place) {
    Values x(12, 0.0);
    x[place] = 1.0;
    int n_back = 0;
    for (int seed = 0; seed < kSeeds; ++seed)
      n_back += permutation_test(Correlation::kPearson, x, x, 1, static_cast<std::uint64_t>(seed))->p == 1.0;
    EXPECT_NEAR(n_back / static_cast<double>(kSeeds), 1.0 / 12.0, 0.0088) << place;  // four and a half standard errors
  }
}

TEST(PermutationTest, DrawnIsNeverZero) {
  Values x;
  for (int i = 0; i < 15; ++i) x.push_back(i);
  EXPECT_DOUBLE_EQ(permutation_test(Correlation::kPearson, x, x, 999, 1)->p, 1.0 / 1000.0);
}

TEST(PermutationTest, OfSeveralIsEachAlone) {
  const Values x{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, y{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4};  // ties: Kendall's is drawn, too
  const std::vector kinds = {Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall};
  const auto together = permutation_tests(kinds, x, y, 1999, 7);
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    EXPECT_FALSE(together[k]->exact);
    EXPECT_EQ(together[k]->p, permutation_test(kinds[k], x, y, 1999, 7)->p) << k;
    // Turned round, each pairing is as far from 0 as it was.
    Values turned = y;
    for (double& value : turned) value = -value;
    EXPECT_EQ(together[k]->p, permutation_test(kinds[k], x, turned, 1999, 7)->p) << k;
    EXPECT_GT(together[k]->p, 0.1);
  }
}

// Under the null a p-value falls below q in q of all samples; an exact one never more often.
TEST(PermutationTest, IsUniformUnderTheNull) {
  for (const Correlation kind : {Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall}) {
    constexpr int kSamples = 1000;
    Values p;
    for (int s = 0; s < kSamples; ++s) {
      Random random(5, static_cast<std::uint64_t>(s));
      Values x, y;
      for (int i = 0; i < 12; ++i) {
        x.push_back(normal_quantile(random.uniform()));
        y.push_back(std::exp(2.0 * normal_quantile(random.uniform())));  // far from normal
      }
      p.push_back(permutation_test(kind, x, y, 199, static_cast<std::uint64_t>(s))->p);
    }
    std::sort(p.begin(), p.end());
    double distance = 0.0;  // Kolmogorov's; 1.63 / sqrt(1000) at 1 %
    for (int s = 0; s < kSamples; ++s)
      distance = std::max(distance, std::abs(p[static_cast<std::size_t>(s)] - (s + 0.5) / kSamples));
    EXPECT_LT(distance, kind == Correlation::kKendall ? 0.16 : 0.052);  // Kendall's has few values at n = 12
    const auto below = [&](double q) { return std::lower_bound(p.begin(), p.end(), q + 1e-12) - p.begin(); };
    EXPECT_NEAR(static_cast<double>(below(0.05)) / kSamples, 0.05, 0.021);
  }
}

// Also with ties on either side, points that are not drawn, and even and odd numbers of points.
TEST(OrderNumbers, AreToTheLastBitThoseOfTheResample) {
  std::size_t n_compared = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(11, seed);
    const std::size_t n = 2 + random.below(24);
    const bool ties = seed % 2 == 0;
    Values x, y, drawn_x, drawn_y;
    for (std::size_t i = 0; i < n; ++i) {
      x.push_back(ties ? random.below(6) : random.uniform());
      y.push_back(ties ? 0.1 * random.below(6) : 100.0 * random.uniform());
    }
    std::vector<std::int32_t> counts(n, 0);
    for (std::size_t k = 0; k < n; ++k) {
      const std::uint32_t i = random.below(static_cast<std::uint32_t>(n));
      ++counts[i];
      drawn_x.push_back(x[i]);
      drawn_y.push_back(y[i]);
    }
    const OrderNumbers::Numbers numbers = OrderNumbers(x, y).of(counts);
    EXPECT_EQ(numbers.spearman, correlation(Correlation::kSpearman, drawn_x, drawn_y)) << seed;
    EXPECT_EQ(numbers.kendall, correlation(Correlation::kKendall, drawn_x, drawn_y)) << seed;
    const std::optional<TheilSen> line = theil_sen(drawn_x, drawn_y);
    ASSERT_EQ(numbers.line.has_value(), line.has_value()) << seed;
    if (!line) continue;
    EXPECT_EQ(numbers.line->slope, line->slope) << seed;
    EXPECT_EQ(numbers.line->intercept, line->intercept) << seed;
    ++n_compared;
  }
  EXPECT_GT(n_compared, 350u);
}

TEST(Regression, IsStatsmodels) {
  for (const Case& c : cases()) {
    const LinearFit fit = *fit_line(c.x, c.y);
    expect_near(std::optional(fit.slope), c.expected["slope"], "slope");
    expect_near(std::optional(fit.intercept), c.expected["intercept"], "intercept");
    expect_near(std::optional(fit.r_squared), c.expected["r_squared"], "R2");
    expect_near(std::optional(fit.rmse), c.expected["rmse"], "rmse");
    expect_near(slope_interval(fit, c.level), c.expected["slope_interval"], "slope's interval");
    expect_near(intercept_interval(fit, c.level), c.expected["intercept_interval"], "intercept's interval");
    expect_near(rmse_interval(fit, c.level), c.expected["rmse_interval"], "rmse's interval");
    expect_near(line_interval(fit, c.expected["x_new"], c.level), c.expected["line_interval"], "confidence band");
    expect_near(prediction_interval(fit, c.expected["x_new"], c.level), c.expected["prediction_interval"],
                "prediction band");
    const std::vector<Influence> points = influences(c.x, c.y, c.level);
    for (std::size_t i = 0; i < points.size(); ++i) {
      expect_near(std::optional(points[i].leverage), c.expected["leverage"][i], "leverage");
      expect_near(points[i].cooks_distance, c.expected["cooks_distance"][i], "Cook's distance");
      expect_near(c.y[i] - *points[i].predicted, c.expected["left_out_residual"][i], "left-out residual");
    }
  }
}

TEST(Regression, LeavesOutByLeavingOut) {
  const Case c = cases()[3];
  const std::vector<Influence> points = influences(c.x, c.y, 0.9);
  for (std::size_t i = 0; i < points.size(); ++i) {
    Values x = c.x, y = c.y;
    x.erase(x.begin() + static_cast<std::ptrdiff_t>(i));
    y.erase(y.begin() + static_cast<std::ptrdiff_t>(i));
    const LinearFit others = *fit_line(x, y);
    EXPECT_DOUBLE_EQ(*points[i].predicted, others.at(c.x[i]));
    EXPECT_DOUBLE_EQ(points[i].prediction->hi, prediction_interval(others, c.x[i], 0.9)->hi);
    EXPECT_DOUBLE_EQ(*points[i].pearson_without, *correlation(Correlation::kPearson, x, y));
  }
}

TEST(Regression, IsUndefinedWithoutSpread) {
  EXPECT_FALSE(fit_line(Values{1.0}, Values{2.0}));
  EXPECT_FALSE(fit_line(Values{0.1, 0.1, 0.1}, Values{1.0, 2.0, 3.0}));
  EXPECT_FALSE(theil_sen(Values{2.0, 2.0}, Values{1.0, 3.0}));
  EXPECT_FALSE(slope_interval(*fit_line(Values{1.0, 2.0}, Values{1.0, 3.0}), 0.95));
  EXPECT_TRUE(influences(Values{0.1, 0.1}, Values{1.0, 2.0}, 0.95).empty());
}

TEST(TheilSen, IsScipys) {
  for (const Case& c : cases()) {
    const TheilSen line = *theil_sen(c.x, c.y);
    expect_near(std::optional(line.slope), c.expected["theil_sen"][0], "slope");
    expect_near(std::optional(line.intercept), c.expected["theil_sen"][1], "intercept");
    const auto interval = theil_sen_interval(c.x, c.y, c.level);
    expect_near(interval, Json::array({c.expected["theil_sen"][2], c.expected["theil_sen"][3]}), "interval");
  }
}

// ---- the bootstrap over points ----

AssociationOptions quick(int n_threads = 2) {
  return {.level = 0.95, .n_resamples = 2000, .n_permutations = 999, .seed = 3, .n_threads = n_threads};
}

TEST(Association, HoldsTheNumbersOfItsParts) {
  const Case c = cases()[3];
  const Association a = associate(c.x, c.y, {}, quick());
  EXPECT_EQ(a.n, 19u);
  EXPECT_EQ(a.n_clusters, 19u);
  EXPECT_DOUBLE_EQ(*a.pearson.value, *correlation(Correlation::kPearson, c.x, c.y));
  EXPECT_DOUBLE_EQ(*a.kendall.value, *correlation(Correlation::kKendall, c.x, c.y));
  EXPECT_DOUBLE_EQ(*a.slope.value, fit_line(c.x, c.y)->slope);
  EXPECT_DOUBLE_EQ(*a.rmse.value, fit_line(c.x, c.y)->rmse);
  EXPECT_DOUBLE_EQ(*a.theil_sen_slope.value, theil_sen(c.x, c.y)->slope);
  EXPECT_DOUBLE_EQ(a.pearson.formula->lo, fisher_z_interval(Correlation::kPearson, *a.pearson.value, 19, 0.95)->lo);
  EXPECT_DOUBLE_EQ(a.rmse.formula->hi, rmse_interval(*a.fit, 0.95)->hi);
  EXPECT_FALSE(a.theil_sen_intercept.formula);
  EXPECT_FALSE(a.pearson.clusters);  // every point is alone
  for (const Estimate* e : {&a.pearson, &a.spearman, &a.kendall, &a.slope, &a.intercept, &a.rmse, &a.r_squared,
                            &a.theil_sen_slope, &a.theil_sen_intercept}) {
    ASSERT_TRUE(e->bca && e->percentile);
    EXPECT_LT(e->percentile->lo, e->percentile->hi);
  }
}

// The bootstrap written out: the same draws, one number.
TEST(Association, DrawsPointsWithReplacement) {
  const Case c = cases()[3];
  const AssociationOptions options = quick();
  Values replicates;
  for (std::int64_t b = 0; b < options.n_resamples; ++b) {
    Random random(options.seed, (std::uint64_t{1} << 32) + static_cast<std::uint64_t>(b));
    Values x, y;
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      const std::uint32_t k = random.below(static_cast<std::uint32_t>(c.x.size()));
      x.push_back(c.x[k]);
      y.push_back(c.y[k]);
    }
    replicates.push_back(fit_line(x, y)->slope);
  }
  const Association a = associate(c.x, c.y, {}, options);
  const auto expected = bootstrap_interval(replicates, *a.slope.value, 0.0, options.level, IntervalMethod::kPercentile);
  EXPECT_DOUBLE_EQ(a.slope.percentile->lo, expected->lo);
  EXPECT_DOUBLE_EQ(a.slope.percentile->hi, expected->hi);

  Values left_out;
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    Values x = c.x, y = c.y;
    x.erase(x.begin() + static_cast<std::ptrdiff_t>(i));
    y.erase(y.begin() + static_cast<std::ptrdiff_t>(i));
    left_out.push_back(fit_line(x, y)->slope);
  }
  centre_jackknife(left_out);
  const auto bca =
      bootstrap_interval(replicates, *a.slope.value, acceleration(left_out), options.level, IntervalMethod::kBca);
  EXPECT_DOUBLE_EQ(a.slope.bca->lo, bca->lo);
  EXPECT_DOUBLE_EQ(a.slope.bca->hi, bca->hi);
  EXPECT_NE(bca->lo, expected->lo);
}

// The bootstrap-t written out.
TEST(Association, StudentisesZ) {
  Case c = cases()[5];
  for (double& x : c.x) x = std::exp(15.0 * x);  // skewed, so that the two sides of the interval differ
  const AssociationOptions options = quick();
  const auto z_of = [](const Values& x, const Values& y) {
    return std::atanh(*correlation(Correlation::kPearson, x, y));
  };
  const auto error_of = [](const Values& x, const Values& y) {  // as docs/method.md says
    const auto standardised = [](Values v) {
      const auto n = static_cast<double>(v.size());
      const double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
      double squares = 0.0;
      for (const double value : v) squares += (value - mean) * (value - mean);
      for (double& value : v) value = (value - mean) / std::sqrt(squares / n);
      return v;
    };
    const Values zx = standardised(x), zy = standardised(y);
    const double r = *correlation(Correlation::kPearson, x, y);
    double squares = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double influence = (zx[i] * zy[i] - r * (zx[i] * zx[i] + zy[i] * zy[i]) / 2.0) / (1.0 - r * r);
      squares += influence * influence;
    }
    return std::sqrt(squares) / static_cast<double>(x.size());
  };
  const double z = z_of(c.x, c.y);
  Values t;
  for (std::int64_t b = 0; b < options.n_resamples; ++b) {
    Random random(options.seed, (std::uint64_t{1} << 32) + static_cast<std::uint64_t>(b));
    Values x, y;
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      const std::uint32_t k = random.below(static_cast<std::uint32_t>(c.x.size()));
      x.push_back(c.x[k]);
      y.push_back(c.y[k]);
    }
    t.push_back((z_of(x, y) - z) / error_of(x, y));
  }
  const auto q = bootstrap_interval(t, 0.0, 0.0, options.level, IntervalMethod::kPercentile);
  const Association a = associate(c.x, c.y, {}, options);
  EXPECT_GT(std::abs(q->hi + q->lo) * error_of(c.x, c.y), 0.3);
  EXPECT_NEAR(std::atanh(a.pearson_bootstrap_t->lo), z - q->hi * error_of(c.x, c.y), 1e-9);
  EXPECT_NEAR(std::atanh(a.pearson_bootstrap_t->hi), z - q->lo * error_of(c.x, c.y), 1e-9);
}

TEST(Association, IsTheSameAtAnyThreadCount) {
  const Case c = cases()[4];
  const Association one = associate(c.x, c.y, {}, quick(1)), three = associate(c.x, c.y, {}, quick(3));
  EXPECT_EQ(one.pearson.bca->lo, three.pearson.bca->lo);
  EXPECT_EQ(one.theil_sen_slope.percentile->hi, three.theil_sen_slope.percentile->hi);
  EXPECT_EQ(one.pearson_bootstrap_t->lo, three.pearson_bootstrap_t->lo);
}

TEST(Association, OfEqualPointsInAClusterIsAsUncertainAsTheClusters) {
  // 8 different points, each there five times: 40 points look sure, 8 clusters are not.
  Values x, y;
  std::vector<std::size_t> clusters;
  Random random(8, 0);
  for (std::size_t k = 0; k < 8; ++k) {
    const double at = normal_quantile(random.uniform()), off = normal_quantile(random.uniform());
    for (int copy = 0; copy < 5; ++copy) {
      x.push_back(at);
      y.push_back(0.7 * at + 0.7 * off);
      clusters.push_back(k);
    }
  }
  const Association a = associate(x, y, clusters, quick());
  EXPECT_EQ(a.n_clusters, 8u);
  EXPECT_EQ(a.largest_cluster, 5u);
  ASSERT_TRUE(a.pearson_clusters_t);  // the jackknife written out
  Values z;
  for (std::size_t left_out = 0; left_out < 8; ++left_out) {
    Values rest_x, rest_y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (clusters[i] == left_out) continue;
      rest_x.push_back(x[i]);
      rest_y.push_back(y[i]);
    }
    z.push_back(std::atanh(*correlation(Correlation::kPearson, rest_x, rest_y)));
  }
  const double mean = std::accumulate(z.begin(), z.end(), 0.0) / 8.0;
  double squares = 0.0;
  for (const double value : z) squares += (value - mean) * (value - mean);
  EXPECT_NEAR(0.5 * (std::atanh(a.pearson_clusters_t->hi) - std::atanh(a.pearson_clusters_t->lo)),
              2.3646242515927853 * std::sqrt(7.0 / 8.0 * squares), 1e-9);  // t of 7 degrees of freedom
  EXPECT_NEAR(0.5 * (std::atanh(a.pearson_clusters_t->hi) + std::atanh(a.pearson_clusters_t->lo)),
              std::atanh(*a.pearson.value), 1e-9);
  ASSERT_TRUE(a.slope.clusters);
  EXPECT_GT(a.slope.clusters->hi - a.slope.clusters->lo, 1.5 * (a.slope.percentile->hi - a.slope.percentile->lo));
}

TEST(Association, OfTooFewOrEqualPointsHasNoIntervals) {
  const Association three = associate(Values{1.0, 2.0, 4.0}, Values{1.0, 3.0, 2.0}, {}, quick());
  EXPECT_TRUE(three.pearson.value);
  EXPECT_FALSE(three.pearson.bca);
  EXPECT_FALSE(three.pearson.formula);
  const Association constant = associate(Values(7, 0.3), Values{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, {}, quick());
  EXPECT_FALSE(constant.pearson.value);
  EXPECT_FALSE(constant.pearson_test);
  EXPECT_FALSE(constant.slope.value);
  const Association none = associate(Values{}, Values{}, {}, quick());
  EXPECT_EQ(none.n, 0u);
  EXPECT_FALSE(none.pearson.value);
}

TEST(Association, OnALineIsOne) {
  Values x, y;
  for (int i = 0; i < 12; ++i) {
    x.push_back(i);
    y.push_back(3.0 - 0.5 * i);
  }
  const Association a = associate(x, y, {}, quick());
  EXPECT_NEAR(*a.pearson.value, -1.0, 1e-12);
  EXPECT_EQ(*a.kendall.value, -1.0);
  EXPECT_NEAR(*a.slope.value, -0.5, 1e-12);
  EXPECT_NEAR(*a.rmse.value, 0.0, 1e-12);
}

// A benchmark near chance: most models score alike. Some resamples have them alone; those once took the intervals of
// every correlation with them.
TEST(Association, OfMostlyTiedScoresHasIntervals) {
  Values x(12), y(12, 0.25);
  std::iota(x.begin(), x.end(), 1.0);
  y[0] = 0.6, y[1] = 0.4, y[2] = 0.3;
  const Association a = associate(x, y, {}, quick());
  for (const Estimate* e : {&a.pearson, &a.spearman, &a.kendall, &a.slope, &a.r_squared}) {
    ASSERT_TRUE(e->bca && e->percentile);
    EXPECT_TRUE(std::isfinite(e->bca->lo) && std::isfinite(e->percentile->hi));
  }
  EXPECT_LT(a.r_squared.percentile->hi, 1.0);  // a constant side has R2 1 by convention only
  EXPECT_LT(a.slope.percentile->hi, 0.0);      // and slope 0
}

// A third of the resamples of six lack the only one that differs: the others would all hold it, and look sure.
TEST(Association, OfOnePointThatDiffersHasNoBootstrap) {
  const Association a =
      associate(Values{1.0, 2.0, 3.0, 4.0, 5.0, 6.0}, Values{0.5, 0.25, 0.25, 0.25, 0.25, 0.25}, {}, quick());
  EXPECT_TRUE(a.pearson.formula);
  EXPECT_FALSE(a.pearson.bca || a.pearson.percentile || a.slope.percentile || a.pearson_bootstrap_t);
}

TEST(Association, SquaresTheIntervalOfR) {
  const auto squared = [](const Values& x, const Values& y) { return associate(x, y, {}, quick()); };
  const Case c = cases()[3];
  const Association strong = squared(c.x, c.y);
  const Interval r = *strong.pearson.formula, r2 = *strong.r_squared.formula;
  ASSERT_FALSE(r.contains(0.0));
  EXPECT_DOUBLE_EQ(r2.lo, std::min(r.lo * r.lo, r.hi * r.hi));
  EXPECT_DOUBLE_EQ(r2.hi, std::max(r.lo * r.lo, r.hi * r.hi));
  EXPECT_TRUE(r2.contains(*strong.r_squared.value));
  const Association none = squared({1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, {2.0, 1.0, 3.0, 1.0, 2.0, 3.0, 1.5});
  ASSERT_TRUE(none.pearson.formula->contains(0.0));
  EXPECT_EQ(none.r_squared.formula->lo, 0.0);
}

TEST(MostMoving, IsThePointWithoutWhichThereIsNoCorrelation) {
  const Association a = associate(Values{1.0, 2.0, 3.0, 4.0, 5.0}, Values{0.25, 0.25, 0.25, 0.5, 0.25}, {}, quick());
  EXPECT_EQ(most_moving(a), 3u);
  const Case c = cases()[3];
  const Association other = associate(c.x, c.y, {}, quick());
  const std::size_t most = *most_moving(other);
  for (const Influence& i : other.influences)
    EXPECT_LE(std::abs(*i.pearson_without - *other.pearson.value),
              std::abs(*other.influences[most].pearson_without - *other.pearson.value));
  EXPECT_FALSE(most_moving(associate(Values{1.0, 2.0}, Values{1.0, 2.0}, {}, quick())));
}

}  // namespace
}  // namespace lmbits
