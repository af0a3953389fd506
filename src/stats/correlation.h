// How two columns of numbers go together: Pearson, Spearman, Kendall; intervals by formula; tests by permutation.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

enum class Correlation {
  kPearson,   // r: how well a line describes it
  kSpearman,  // rho: Pearson's r of the ranks
  kKendall,   // tau-b: (concordant - discordant pairs) / sqrt(pairs not tied in x * pairs not tied in y)
};

// Ranks from 1, ties at their mean rank.
std::vector<double> mid_ranks(std::span<const double> values);

// In [-1, 1]; nullopt under two pairs, or where a side is constant. Kendall's takes n^2 / 2 steps.
std::optional<double> correlation(Correlation kind, std::span<const double> x, std::span<const double> y);

// Pearson's r of x and y with z held fixed: (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)). nullopt where one of
// them is, or where z determines x or y.
std::optional<double> partial_correlation(std::span<const double> x, std::span<const double> y,
                                          std::span<const double> z);

// tanh(atanh(r) -+ z se), with se = 1 / sqrt(n - 3 - n_controls) for r (Fisher 1921), sqrt(1 + r^2 / 2) times that for
// rho (Bonett & Wright 2000, doi:10.1007/BF02294183), sqrt(0.437 / (n - 4)) for tau (Fieller, Hartley & Pearson 1957,
// doi:10.1093/biomet/44.3-4.470). Exact for no distribution; close for pairs that are jointly normal. nullopt where
// |r| is 1, or n leaves no degree of freedom.
std::optional<Interval> fisher_z_interval(Correlation kind, double r, std::size_t n, double level,
                                          std::size_t n_controls = 0);

// Student's two-sided p-value of Pearson's r: t = r sqrt((n - 2) / (1 - r^2)). It takes normal pairs for granted, which
// a permutation test does not. nullopt under three pairs.
std::optional<double> pearson_t_test(double r, std::size_t n);

// Two-sided p-value of "x and y have nothing to do with each other": the share of pairings of x with y at which the
// correlation is as far from 0 as the one observed.
struct PermutationTest {
  double p = 1.0;
  bool exact = false;               // all pairings were counted, else some were drawn
  std::int64_t n_permutations = 0;  // counted or drawn; 0: Kendall's, counted by recurrence
};

// Exact up to 9 pairs, and for Kendall's without ties up to 100 (by the distribution of inversions); else
// p = (1 + as far) / (1 + drawn), so that it is never 0. nullopt where the correlation is.
std::optional<PermutationTest> permutation_test(Correlation kind, std::span<const double> x, std::span<const double> y,
                                                std::int64_t n_permutations, std::uint64_t seed);

}  // namespace lmbits
