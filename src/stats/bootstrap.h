// The bootstrap for ratios of sums (bits per byte), the same resamples for all models of a corpus.
//
// A unit (a document, or a block of one) has a weight n_i (bytes, or code points) and costs model m the bits b_mi:
//   value_m = sum_i b_mi / sum_i n_i
// A resample draws U of U units with replacement; unit i is drawn c_i times, c is multinomial, and
//   value*_m = sum_i c_i b_mi / sum_i c_i n_i
// with one c for all models, so that what makes a text hard for every model cancels in their differences.
// Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 14.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace lmbits {

struct Interval {
  double lo;
  double hi;
  bool contains(double x) const { return lo <= x && x <= hi; }
};

struct PairedUnits {
  std::vector<double> weight;             // [U], > 0
  std::vector<std::vector<double>> bits;  // [M][U]
};

// Sums over the units of each of B resamples.
struct Resamples {
  std::vector<double> weight;             // [B]
  std::vector<std::vector<double>> bits;  // [M][B]
};

// Resample b is drawn from stream (stream << 32) + b of `seed`: samples that must be independent (corpora) take different
// streams. The result depends on neither n_threads nor the other models. Needs at least one unit and fewer than 2^32.
Resamples resample(const PairedUnits& units, std::int64_t n_resamples, std::uint64_t seed, std::uint64_t stream,
                   int n_threads);

// 10,000, where that costs at most a fraction of a second, else fewer, at least 1,000: the quantile's own random error is
// then 6 % of the interval's half width instead of 2 %.
std::int64_t default_resamples(std::size_t n_models, std::size_t n_units);

enum class IntervalMethod {
  kPercentile,  // the (1 +- level) / 2 quantiles of the replicates
  kBca,         // those quantiles moved for bias and skewness (Efron 1987, doi:10.2307/2289144)
};

// The two-sided interval of `estimate` from its bootstrap replicates; `acceleration` counts in kBca only. nullopt where
// a replicate is not finite, or there is none.
std::optional<Interval> bootstrap_interval(std::vector<double> replicates, double estimate, double acceleration,
                                           double level, IntervalMethod method);

// The acceleration constant, sum d^3 / (6 (sum d^2)^1.5), of the influences d of all units on the estimate (up to one
// factor): the jackknife's, see centre_jackknife. 0 where no unit has any.
double acceleration(const std::vector<double>& influences);

// Replaces leave-one-out values t_i of one sample of n by (n - 1) / n (mean(t) - t_i), to which those of other samples
// may be appended when the estimate combines independent samples.
void centre_jackknife(std::vector<double>& values);

}  // namespace lmbits
