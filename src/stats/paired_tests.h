// Tests of paired differences that assume no distribution: they ask how often one side wins, not by how much in sum.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace lmbits {

// Two-sided p-value that a difference is as often above 0 as below it: exact binomial; zeros are left out (Dixon & Mood
// 1946). nullopt where all are 0.
std::optional<double> sign_test(std::span<const double> differences);

// Two-sided p-value that the differences are symmetric around 0 (Wilcoxon 1945, doi:10.2307/3001968): ranks of |d|, ties
// at their mean rank, zeros left out. Exact up to 50 differences, above that the normal approximation with corrections
// for ties and continuity. nullopt where all are 0.
std::optional<double> wilcoxon_signed_rank(std::span<const double> differences);

}  // namespace lmbits
