// Models in order of how many bits they need, and how sure that order is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

enum class Metric {
  kBitsPerByte,  // bits / weight, weight = bytes: lower is better
  kBitsPerChar,  // bits / weight, weight = code points: lower is better
  kRatio,        // 8 weight / bits, weight = bytes: higher is better
};

double metric_value(Metric metric, double bits, double weight);
bool higher_is_better(Metric metric);

// How several corpora (strata, each resampled by itself) become one number.
enum class Pooling {
  kMicro,  // the metric of the sums: long corpora count more
  kMacro,  // the mean of the corpora's metrics: each counts the same
};

// One model's units in one stratum, and their resampled sums.
struct Column {
  std::span<const double> weight, bits;                      // [U]
  std::span<const double> resampled_weight, resampled_bits;  // [B]
  std::size_t group = 0;  // columns of a stratum with equal groups have the same units and the same resamples
};

using Strata = std::vector<std::vector<Column>>;  // [stratum][model]

constexpr std::size_t kFewestUnits = 8;  // an interval from fewer would promise more than it knows

// False where a stratum has fewer than kFewestUnits units: there is no interval then.
bool has_spread(const Strata& strata);

// A statistic of one model over all strata with its bootstrap replicates and its units' influences.
struct Statistic {
  double value = 0.0;
  std::vector<double> replicates;               // [B]
  std::vector<std::vector<double>> influences;  // [stratum][U], see centre_jackknife
  std::vector<std::size_t> groups;              // [stratum]
};

Statistic statistic(const Strata& strata, std::size_t model, Metric metric, Pooling pooling);
std::optional<Interval> interval_of(const Statistic& statistic, double level, IntervalMethod method);

// a - b, paired in each stratum where both are of one group, as of independent samples where not.
Statistic difference(const Statistic& a, const Statistic& b);
// a / b - 1, paired likewise.
Statistic relative_difference(const Statistic& a, const Statistic& b);

struct RankedModel {
  std::size_t model = 0;  // its place in the strata
  double value = 0.0;
  std::optional<Interval> interval;
  std::int64_t rank = 0;  // 1 + how many are better
  // The `level` interval of the rank over the joint resamples. Models that are equal in a resample share the ranks they
  // occupy there, so two equal models have 1-2. nullopt where there is no interval.
  std::optional<std::int64_t> rank_lo, rank_hi;
  double difference = 0.0;  // value - the best one's
  std::optional<Interval> difference_interval;
  bool tied_with_best = false;  // the difference is 0, or its interval includes 0; true for the best itself
};

struct RankOptions {
  Metric metric = Metric::kBitsPerByte;
  Pooling pooling = Pooling::kMicro;
  double level = 0.95;
  IntervalMethod method = IntervalMethod::kBca;
  int n_threads = 1;
};

// Best first; equal models in the order given. No intervals without spread. "Best" is the best on these very units: with
// many close models its lead is partly luck, which the rank interval shows and the difference's interval (to a best that
// is taken as given) does not.
std::vector<RankedModel> rank_models(const Strata& strata, const RankOptions& options);

}  // namespace lmbits
