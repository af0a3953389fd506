// MIN-K% Prob (Shi et al. 2023, arXiv:2310.16789): has a model seen this text before?
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

// The mean bits of the `share` of tokens that cost most, at least one: text that was trained on has few surprises. In
// nats and with its sign turned it is the paper's number. `bits` is not empty.
double min_k_bits(std::span<const double> bits, double share);

// Two samples of examples: the difference of their means, and how often an example of `a` is below one of `b` (ties
// half; 0.5: no telling them apart), each with a percentile interval over resampled examples of both.
struct SampleComparison {
  double mean_a = 0.0, mean_b = 0.0;
  double difference = 0.0;  // mean_b - mean_a: above 0 where a is the more familiar one
  double share_below = 0.0;
  Interval difference_interval{0.0, 0.0}, share_interval{0.0, 0.0};
};

SampleComparison compare_samples(std::span<const double> a, std::span<const double> b, double level,
                                 std::int64_t n_resamples, std::uint64_t seed);

}  // namespace lmbits
