// How often do the intervals of a correlation hold the truth? Simulated, printed for every kind that is offered.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numbers>

#include "src/core/thread_pool.h"
#include "src/stats/association.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

constexpr int kPoints = 20;

struct Kind {
  const char* name;
  std::function<std::optional<Interval>(const Association&)> interval;
  std::function<double(double)> truth;  // from the r of the normal pairs
  bool is_default;
};

double same(double r) { return r; }
double zero(double) { return 0.0; }
double squared(double r) { return r * r; }
double rmse_of(double r) { return std::sqrt(1.0 - r * r); }
double spearman_of(double r) { return 6.0 / std::numbers::pi * std::asin(0.5 * r); }
double kendall_of(double r) { return 2.0 / std::numbers::pi * std::asin(r); }

std::vector<Kind> kinds() {
  return {
      {"r, Fisher z (default)", [](const Association& a) { return a.pearson.formula; }, same, true},
      {"r, bootstrap-t on z", [](const Association& a) { return a.pearson_bootstrap_t; }, same, false},
      {"r, BCa", [](const Association& a) { return a.pearson.bca; }, same, false},
      {"r, percentile", [](const Association& a) { return a.pearson.percentile; }, same, false},
      {"rho, Bonett-Wright z (default)", [](const Association& a) { return a.spearman.formula; }, spearman_of, true},
      {"rho, BCa", [](const Association& a) { return a.spearman.bca; }, spearman_of, false},
      {"rho, percentile", [](const Association& a) { return a.spearman.percentile; }, spearman_of, false},
      {"tau, Fieller z (default)", [](const Association& a) { return a.kendall.formula; }, kendall_of, true},
      {"tau, BCa", [](const Association& a) { return a.kendall.bca; }, kendall_of, false},
      {"tau, percentile", [](const Association& a) { return a.kendall.percentile; }, kendall_of, false},
      {"slope, Student t (default)", [](const Association& a) { return a.slope.formula; }, same, true},
      {"slope, BCa", [](const Association& a) { return a.slope.bca; }, same, false},
      {"slope, percentile", [](const Association& a) { return a.slope.percentile; }, same, false},
      {"Theil-Sen slope, Sen (default)", [](const Association& a) { return a.theil_sen_slope.formula; }, same, true},
      {"Theil-Sen slope, BCa", [](const Association& a) { return a.theil_sen_slope.bca; }, same, false},
      {"Theil-Sen slope, percentile", [](const Association& a) { return a.theil_sen_slope.percentile; }, same, false},
      {"its intercept, BCa", [](const Association& a) { return a.theil_sen_intercept.bca; }, zero, false},
      {"its intercept, percentile", [](const Association& a) { return a.theil_sen_intercept.percentile; }, zero, false},
      {"intercept, Student t (default)", [](const Association& a) { return a.intercept.formula; }, zero, true},
      {"intercept, BCa", [](const Association& a) { return a.intercept.bca; }, zero, false},
      {"intercept, percentile", [](const Association& a) { return a.intercept.percentile; }, zero, false},
      {"R2, Fisher z squared (default)", [](const Association& a) { return a.r_squared.formula; }, squared, true},
      {"R2, BCa", [](const Association& a) { return a.r_squared.bca; }, squared, false},
      {"R2, percentile", [](const Association& a) { return a.r_squared.percentile; }, squared, false},
      {"RMSE, chi squared (default)", [](const Association& a) { return a.rmse.formula; }, rmse_of, true},
      {"RMSE, BCa", [](const Association& a) { return a.rmse.bca; }, rmse_of, false},
      {"RMSE, percentile", [](const Association& a) { return a.rmse.percentile; }, rmse_of, false}};
}

struct Points {
  std::vector<double> x, y;
  std::vector<std::size_t> clusters;  // empty: none
};

// Normal pairs of unit variances and correlation r; the share `common` of both variances is the clusters' own.
Points draw(double r, const std::vector<std::size_t>& cluster_sizes, double common, Random& random) {
  Points points;
  const auto pair = [&] {
    const double x = normal_quantile(random.uniform());
    return std::pair(x, r * x + std::sqrt(1.0 - r * r) * normal_quantile(random.uniform()));
  };
  for (std::size_t c = 0; c < cluster_sizes.size(); ++c) {
    const auto shared = common > 0.0 ? pair() : std::pair(0.0, 0.0);
    for (std::size_t i = 0; i < cluster_sizes[c]; ++i) {
      const auto own = pair();
      points.x.push_back(std::sqrt(common) * shared.first + std::sqrt(1.0 - common) * own.first);
      points.y.push_back(std::sqrt(common) * shared.second + std::sqrt(1.0 - common) * own.second);
      if (common > 0.0) points.clusters.push_back(c);
    }
  }
  return points;
}

int n_samples() {
  const char* wanted = std::getenv("LMBITS_COVERAGE_SAMPLES");
  return wanted == nullptr ? 2000 : std::atoi(wanted);
}

// Percent of n_samples intervals that hold the truth; unit variances, so the slope is r.
std::vector<double> coverage(const std::vector<Kind>& all, double r, const std::vector<std::size_t>& cluster_sizes,
                             double common, int n_samples, std::int64_t n_resamples) {
  std::vector<std::vector<char>> holds(static_cast<std::size_t>(n_samples), std::vector<char>(all.size()));
  parallel_for(n_samples, available_threads(), [&](std::int64_t s) {
    Random random(77, static_cast<std::uint64_t>(s));
    const Points points = draw(r, cluster_sizes, common, random);
    const AssociationOptions options{.level = 0.95,
                                     .n_resamples = n_resamples,
                                     .n_permutations = 99,
                                     .seed = static_cast<std::uint64_t>(s),
                                     .n_threads = 1};
    const Association a = associate(points.x, points.y, points.clusters, options);
    for (std::size_t k = 0; k < all.size(); ++k) {
      const auto interval = all[k].interval(a);
      holds[static_cast<std::size_t>(s)][k] = interval && interval->contains(all[k].truth(r));
    }
  });
  std::vector<double> percent(all.size(), 0.0);
  for (const auto& sample : holds)
    for (std::size_t k = 0; k < all.size(); ++k) percent[k] += 100.0 * sample[k] / n_samples;
  return percent;
}

// Prints a row a kind; default kinds must hold it in 93 to 97 %.
void print_and_check(const std::vector<Kind>& all, const std::vector<std::vector<double>>& percent) {
  for (std::size_t k = 0; k < all.size(); ++k) {
    std::printf("  %-32s %5.1f %5.1f %5.1f\n", all[k].name, percent[0][k], percent[1][k], percent[2][k]);
    if (!all[k].is_default) continue;
    for (const auto& row : percent) {
      EXPECT_GE(row[k], 93.0) << all[k].name;
      EXPECT_LE(row[k], 97.0) << all[k].name;
    }
  }
}

TEST(IntervalCoverage, OfTheDefaultKindsIsWithin93And97Percent) {
  std::vector<std::vector<double>> percent;
  for (const double r : {0.0, 0.5, 0.9})
    percent.push_back(coverage(kinds(), r, std::vector<std::size_t>(kPoints, 1), 0.0, n_samples(), 999));
  std::printf("95 %% intervals of n = %d points, %d samples: %% that hold the truth at r = 0, 0.5, 0.9\n", kPoints,
              n_samples());
  print_and_check(kinds(), percent);
}

// Checkpoints of training runs: what takes them for independent models is too short, and how short is printed.
TEST(IntervalCoverage, OfWholeClustersLeftOutIsWithin93And97Percent) {
  const std::vector<Kind> all = {
      {"r, clusters left out, t (default)", [](const Association& a) { return a.pearson_clusters_t; }, same, true},
      {"r, clusters drawn, percentile", [](const Association& a) { return a.pearson.clusters; }, same, false},
      {"rho, clusters drawn, percentile", [](const Association& a) { return a.spearman.clusters; }, spearman_of, false},
      {"tau, clusters drawn, percentile", [](const Association& a) { return a.kendall.clusters; }, kendall_of, false},
      {"slope, clusters drawn, percentile", [](const Association& a) { return a.slope.clusters; }, same, false},
      {"r, Fisher z as if independent", [](const Association& a) { return a.pearson.formula; }, same, false},
      {"r, BCa as if independent", [](const Association& a) { return a.pearson.bca; }, same, false}};
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>(6, 3), {6, 4, 3, 3, 2, 1, 1}}) {
    std::vector<std::vector<double>> percent;
    for (const double r : {0.0, 0.5, 0.9}) percent.push_back(coverage(all, r, sizes, 0.7, n_samples(), 499));
    std::printf("95 %% intervals of %zu clusters of up to %zu points, 70 %% of the variance theirs, %d samples\n",
                sizes.size(), sizes[0], n_samples());
    print_and_check(all, percent);
  }
}

// The score of a new model, by the line through the others; and r of what a third number does not explain.
TEST(IntervalCoverage, OfANewModelsScoreAndOfAPartialCorrelationIsWithin93And97Percent) {
  std::printf("95 %% intervals of n = %d points, %d samples: %% that hold the truth at r = 0, 0.5, 0.9\n", kPoints,
              n_samples());
  std::vector<double> predicted, partial;
  for (const double r : {0.0, 0.5, 0.9}) {
    int n_predicted = 0, n_partial = 0;
    for (int s = 0; s < n_samples(); ++s) {
      Random random(78, static_cast<std::uint64_t>(s));
      Points points = draw(r, std::vector<std::size_t>(kPoints + 1, 1), 0.0, random);
      const double x_new = points.x.back(), y_new = points.y.back();
      points.x.pop_back();
      points.y.pop_back();
      const auto prediction = prediction_interval(*fit_line(points.x, points.y), x_new, 0.95);
      n_predicted += prediction && prediction->contains(y_new);
      std::vector<double> z;  // adds to both sides what they then have in common
      for (int i = 0; i < kPoints; ++i) {
        z.push_back(normal_quantile(random.uniform()));
        points.x[static_cast<std::size_t>(i)] += 1.5 * z.back();
        points.y[static_cast<std::size_t>(i)] += 1.5 * z.back();
      }
      const auto estimate = partial_correlation(points.x, points.y, z);
      const auto interval = fisher_z_interval(Correlation::kPearson, *estimate, kPoints, 0.95, 1);
      n_partial += interval && interval->contains(r);
    }
    predicted.push_back(100.0 * n_predicted / n_samples());
    partial.push_back(100.0 * n_partial / n_samples());
  }
  for (const auto& [name, percent] :
       {std::pair("a new model's score, Student t", predicted), std::pair("partial r, Fisher z", partial)}) {
    std::printf("  %-32s %5.1f %5.1f %5.1f\n", name, percent[0], percent[1], percent[2]);
    for (const double p : percent) {
      EXPECT_GE(p, 93.0) << name;
      EXPECT_LE(p, 97.0) << name;
    }
  }
}

}  // namespace
}  // namespace lmbits
