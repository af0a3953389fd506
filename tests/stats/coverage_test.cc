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
      {"Theil-Sen slope, Sen (default)", [](const Association& a) { return a.theil_sen_slope.formula; }, same, true}};
}

// Percent of n_samples intervals that hold the truth; unit variances, so the slope is r.
std::vector<double> coverage(double r, int n_samples, std::int64_t n_resamples) {
  const std::vector<Kind> all = kinds();
  std::vector<std::vector<char>> holds(static_cast<std::size_t>(n_samples), std::vector<char>(all.size()));
  parallel_for(n_samples, available_threads(), [&](std::int64_t s) {
    Random random(77, static_cast<std::uint64_t>(s));
    std::vector<double> x, y;
    for (int i = 0; i < kPoints; ++i) {
      x.push_back(normal_quantile(random.uniform()));
      y.push_back(r * x.back() + std::sqrt(1.0 - r * r) * normal_quantile(random.uniform()));
    }
    const AssociationOptions options{.level = 0.95,
                                     .n_resamples = n_resamples,
                                     .n_permutations = 99,
                                     .seed = static_cast<std::uint64_t>(s),
                                     .n_threads = 1};
    const Association a = associate(x, y, {}, options);
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

TEST(IntervalCoverage, OfTheDefaultKindsIsWithin93And97Percent) {
  const char* wanted = std::getenv("LMBITS_COVERAGE_SAMPLES");
  const int n_samples = wanted == nullptr ? 2000 : std::atoi(wanted);
  const std::vector<Kind> all = kinds();
  std::vector<std::vector<double>> percent;
  for (const double r : {0.0, 0.5, 0.9}) percent.push_back(coverage(r, n_samples, 999));
  std::printf("95 %% intervals of n = %d points, %d samples: %% that hold the truth at r = 0, 0.5, 0.9\n", kPoints,
              n_samples);
  for (std::size_t k = 0; k < all.size(); ++k) {
    std::printf("  %-32s %5.1f %5.1f %5.1f\n", all[k].name, percent[0][k], percent[1][k], percent[2][k]);
    if (!all[k].is_default) continue;
    for (const auto& row : percent) {
      EXPECT_GE(row[k], 93.0) << all[k].name;
      EXPECT_LE(row[k], 97.0) << all[k].name;
    }
  }
}

}  // namespace
}  // namespace lmbits
