// All that is said about how y goes with x over a handful of points (models), each number with its intervals.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/bootstrap.h"
#include "src/stats/correlation.h"
#include "src/stats/regression.h"

namespace lmbits {

struct AssociationOptions {
  double level = 0.95;
  std::int64_t n_resamples = 10000;
  std::int64_t n_permutations = 99999;  // Kendall's with ties: fewer above 63 points, 9,999 or more
  std::uint64_t seed = 1;
  int n_threads = 1;
};

// A number and its intervals at one level. `formula` is Fisher's z for a correlation (its square for R2), Student's t
// for the line, chi squared for rmse, Sen's for Theil-Sen's slope, and none for its intercept. The bootstraps draw points, `clusters` whole clusters of points
// (percentile); none under 5 points or 4 clusters, where a bootstrap interval means nothing.
struct Estimate {
  std::optional<double> value;
  std::optional<Interval> formula, bca, percentile, clusters;
};

struct Association {
  std::size_t n = 0;
  std::size_t n_clusters = 0, largest_cluster = 0;  // n and 1 where every point is alone
  Estimate pearson, spearman, kendall;
  Estimate slope, intercept, rmse, r_squared;  // of the least squares line; rmse divides by n
  Estimate theil_sen_slope, theil_sen_intercept;
  // By leaving out whole clusters: tanh(z -+ t s), s^2 = (G - 1) / G sum (z_g - mean)^2 of the G values of Fisher's z
  // without a cluster each, Student's t with G - 1 degrees of freedom. Under 4 clusters none.
  std::optional<Interval> pearson_clusters_t;
  std::optional<Interval> pearson_bootstrap_t;  // on Fisher's z, with the error of each resample by its influences
  std::optional<PermutationTest> pearson_test, spearman_test, kendall_test;
  std::optional<double> pearson_t_p;
  std::optional<LinearFit> fit;
  std::vector<Influence> influences;  // of each point
};

// `clusters` numbers the points' clusters (training runs, families); empty: every point is alone. Resamples with fewer
// than three different points, or with a constant side, are drawn again: r is 1 or undefined there by arithmetic.
// No bootstrap where over 5 % of the draws had a constant side: what is left is about the few points that differ. Values must be finite; what is
// undefined (a constant side, too few points) is null.
Association associate(std::span<const double> x, std::span<const double> y, std::span<const std::size_t> clusters,
                      const AssociationOptions& options);

// The point without which r moves most: one without which there is none moves it more than any other. nullopt where r
// is undefined, or without every point.
std::optional<std::size_t> most_moving(const Association& association);

// As many resamples as take a fraction of a second with n points: 10,000 down to 1,000.
std::int64_t default_model_resamples(std::size_t n);

}  // namespace lmbits
