// Zipf's law of a corpus: the r-th most frequent type occurs in proportion to r^-s (Zipf 1949).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

struct ZipfFit {
  double exponent = 0.0;  // s, by maximum likelihood
  std::optional<Interval>
      interval;                // likelihood; takes occurrences as independent, which words in text are not: too short
  double least_squares = 0.0;  // slope of log count on log rank, each rank once: for comparison with other figures
  std::int64_t rank_lo = 0, rank_hi = 0, count_lo = 0;  // the fit's range, and the count at its end
  std::int64_t n_types = 0, n_tokens = 0;               // of the corpus
  double share = 0.0;                                   // of the tokens that lie within the range
  double worst_ratio = 0.0;  // of count and fit within the range, in either direction: how far it is from a power
};

// s maximises prod_r (r^-s / sum_q q^-s)^(c_r) over the ranks [lo, hi], c_r the count of rank r. rank_hi 0: the last rank
// with a count of 10 or more. nullopt with fewer than 3 ranks in range.
std::optional<ZipfFit> fit_zipf(std::vector<std::int64_t> counts, std::int64_t rank_lo, std::int64_t rank_hi,
                                double level);

}  // namespace lmbits
