// Permutation tests of several correlations at once.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/correlation.h"

namespace lmbits {

// permutation_test of each kind, on the same pairings, which are drawn once. Kendall's, which takes n^2 / 2 steps a pairing,
// is drawn less often above 63 pairs, 9,999 times or more.
std::vector<std::optional<PermutationTest>> permutation_tests(const std::vector<Correlation>& kinds,
                                                              std::span<const double> x, std::span<const double> y,
                                                              std::int64_t n_permutations, std::uint64_t seed);

}  // namespace lmbits
