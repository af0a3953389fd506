#include "src/stats/ranking.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "src/core/error.h"
#include "src/core/thread_pool.h"

namespace lmbits {
namespace {

double sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// The pooled metric from each stratum's sums.
double pool(Metric metric, Pooling pooling, std::span<const double> bits, std::span<const double> weight) {
  if (pooling == Pooling::kMicro) return metric_value(metric, sum(bits), sum(weight));
  double total = 0.0;
  for (std::size_t s = 0; s < bits.size(); ++s) total += metric_value(metric, bits[s], weight[s]);
  return total / static_cast<double>(bits.size());
}

std::vector<double> leave_one_out(const Column& column, std::size_t stratum, Metric metric, Pooling pooling,
                                  std::vector<double> bits, std::vector<double> weight) {
  const double all_bits = bits[stratum], all_weight = weight[stratum];
  std::vector<double> values(column.bits.size());
  for (std::size_t u = 0; u < values.size(); ++u) {
    bits[stratum] = all_bits - column.bits[u];
    weight[stratum] = all_weight - column.weight[u];
    values[u] = pool(metric, pooling, bits, weight);
  }
  return values;
}

// Ranks of all models in all resamples, as counts of how often model m's best (lo) and worst (hi) shared rank was r + 1.
struct RankCounts {
  std::vector<std::int64_t> lo, hi;
};

// Where each model's replicates lie.
std::vector<Interval> ranges_of(const std::vector<Statistic>& statistics) {
  std::vector<Interval> ranges;
  for (const Statistic& one : statistics) {
    const auto [lo, hi] = std::minmax_element(one.replicates.begin(), one.replicates.end());
    ranges.push_back({*lo, *hi});
  }
  return ranges;
}

// Models whose ranges do not meet are in one order in all resamples; the others are compared in each.
RankCounts count_ranks(const std::vector<Statistic>& statistics, const std::vector<Interval>& ranges, std::size_t model,
                       bool higher_first) {
  constexpr std::size_t kTile =
      512;  // resamples whose counts stay in the cache; counts are doubles, as SIMD compares are
  const std::vector<double>& mine = statistics[model].replicates;
  double always_below = 0.0;
  std::vector<const Statistic*> near;
  for (std::size_t m = 0; m < statistics.size(); ++m) {
    if (ranges[m].hi < ranges[model].lo) {
      ++always_below;
    } else if (!(ranges[m].lo > ranges[model].hi)) {
      near.push_back(&statistics[m]);
    }
  }
  RankCounts counts{std::vector<std::int64_t>(statistics.size(), 0), std::vector<std::int64_t>(statistics.size(), 0)};
  for (std::size_t begin = 0; begin < mine.size(); begin += kTile) {
    const std::size_t n = std::min(kTile, mine.size() - begin);
    std::array<double, kTile> below, equal{};
    below.fill(always_below);
    for (const Statistic* other : near) {
      const double* const theirs = other->replicates.data() + begin;
      for (std::size_t b = 0; b < n; ++b) {
        below[b] += theirs[b] < mine[begin + b] ? 1.0 : 0.0;
        equal[b] += theirs[b] == mine[begin + b] ? 1.0 : 0.0;
      }
    }
    for (std::size_t b = 0; b < n; ++b) {
      const double better = higher_first ? static_cast<double>(statistics.size()) - below[b] - equal[b] : below[b];
      ++counts.lo[static_cast<std::size_t>(better)];
      ++counts.hi[static_cast<std::size_t>(better + equal[b]) - 1];
    }
  }
  return counts;
}

// The smallest rank that is reached in more than the share p of the resamples.
std::int64_t rank_quantile(const std::vector<std::int64_t>& counts, double p) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  std::int64_t seen = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    seen += counts[r];
    if (static_cast<double>(seen) > p * total) return static_cast<std::int64_t>(r) + 1;
  }
  return static_cast<std::int64_t>(counts.size());
}

// f(a, b), whose derivatives at the estimates are `by_a` and `by_b`.
template <typename F>
Statistic combine(const Statistic& a, const Statistic& b, double by_a, double by_b, const F& f) {
  LMBITS_CHECK(a.groups.size() == b.groups.size() && a.replicates.size() == b.replicates.size());
  Statistic result = a;
  result.value = f(a.value, b.value);
  for (std::size_t i = 0; i < result.replicates.size(); ++i) result.replicates[i] = f(a.replicates[i], b.replicates[i]);
  for (std::size_t s = 0; s < result.influences.size(); ++s) {
    std::vector<double>& influences = result.influences[s];
    for (double& d : influences) d *= by_a;
    if (a.groups[s] == b.groups[s]) {
      for (std::size_t u = 0; u < influences.size(); ++u) influences[u] += by_b * b.influences[s][u];
    } else {
      for (const double d : b.influences[s]) influences.push_back(by_b * d);
    }
  }
  return result;
}

void add_intervals(RankedModel& entry, const std::vector<Statistic>& statistics, const std::vector<Interval>& ranges,
                   std::size_t best, const RankOptions& options) {
  const Statistic& mine = statistics[entry.model];
  entry.interval = interval_of(mine, options.level, options.method);
  entry.difference_interval = entry.model == best
                                  ? Interval{0.0, 0.0}
                                  : interval_of(difference(mine, statistics[best]), options.level, options.method);
  if (entry.difference_interval && entry.difference_interval->contains(0.0)) entry.tied_with_best = true;
  const RankCounts counts = count_ranks(statistics, ranges, entry.model, higher_is_better(options.metric));
  entry.rank_lo = std::min(entry.rank, rank_quantile(counts.lo, 0.5 * (1.0 - options.level)));
  entry.rank_hi = std::max(entry.rank, rank_quantile(counts.hi, 0.5 * (1.0 + options.level)));
}

template <typename Work>
void for_each_model(const RankOptions& options, std::size_t n_models, const Work& work) {
  parallel_for(static_cast<std::int64_t>(n_models), options.n_threads,
               [&](std::int64_t i) { work(static_cast<std::size_t>(i)); });
}

}  // namespace

double metric_value(Metric metric, double bits, double weight) {
  return metric == Metric::kRatio ? 8.0 * weight / bits : bits / weight;
}

bool higher_is_better(Metric metric) { return metric == Metric::kRatio; }

bool has_spread(const Strata& strata) {
  for (const std::vector<Column>& columns : strata) {
    for (const Column& column : columns) {
      if (column.weight.size() < kFewestUnits || column.resampled_weight.empty()) return false;
    }
  }
  return true;
}

Statistic statistic(const Strata& strata, std::size_t model, Metric metric, Pooling pooling) {
  LMBITS_CHECK(!strata.empty());
  Statistic result;
  std::vector<double> bits, weight;
  for (const std::vector<Column>& columns : strata) {
    bits.push_back(sum(columns[model].bits));
    weight.push_back(sum(columns[model].weight));
    result.groups.push_back(columns[model].group);
  }
  result.value = pool(metric, pooling, bits, weight);
  for (std::size_t s = 0; s < strata.size(); ++s) {
    result.influences.push_back(leave_one_out(strata[s][model], s, metric, pooling, bits, weight));
    centre_jackknife(result.influences.back());
  }
  result.replicates.resize(strata[0][model].resampled_bits.size());
  for (std::size_t b = 0; b < result.replicates.size(); ++b) {
    for (std::size_t s = 0; s < strata.size(); ++s) {
      bits[s] = strata[s][model].resampled_bits[b];
      weight[s] = strata[s][model].resampled_weight[b];
    }
    result.replicates[b] = pool(metric, pooling, bits, weight);
  }
  return result;
}

std::optional<Interval> interval_of(const Statistic& statistic, double level, IntervalMethod method) {
  std::vector<double> influences;
  for (const std::vector<double>& stratum : statistic.influences)
    influences.insert(influences.end(), stratum.begin(), stratum.end());
  return bootstrap_interval(statistic.replicates, statistic.value, acceleration(influences), level, method);
}

Statistic difference(const Statistic& a, const Statistic& b) {
  return combine(a, b, 1.0, -1.0, [](double x, double y) { return x - y; });
}

Statistic relative_difference(const Statistic& a, const Statistic& b) {
  return combine(a, b, 1.0 / b.value, -a.value / (b.value * b.value), [](double x, double y) { return x / y - 1.0; });
}

std::vector<RankedModel> rank_models(const Strata& strata, const RankOptions& options) {
  const std::size_t n_models = strata.empty() ? 0 : strata[0].size();
  if (n_models == 0) return {};
  std::vector<Statistic> statistics(n_models);
  for_each_model(options, n_models,
                 [&](std::size_t m) { statistics[m] = statistic(strata, m, options.metric, options.pooling); });

  const auto better = [&](double a, double b) { return higher_is_better(options.metric) ? a > b : a < b; };
  std::vector<RankedModel> ranked(n_models);
  for (std::size_t m = 0; m < n_models; ++m) {
    ranked[m].model = m;
    ranked[m].value = statistics[m].value;
    for (const Statistic& other : statistics) ranked[m].rank += better(other.value, ranked[m].value);
    ++ranked[m].rank;
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedModel& a, const RankedModel& b) { return a.rank < b.rank; });
  const RankedModel& best = ranked.front();
  for (RankedModel& entry : ranked) {
    entry.difference = entry.value - best.value;
    entry.tied_with_best = entry.difference == 0.0;
  }
  if (has_spread(strata)) {
    const std::size_t best_model = best.model;
    const std::vector<Interval> ranges = ranges_of(statistics);
    for_each_model(options, n_models,
                   [&](std::size_t i) { add_intervals(ranked[i], statistics, ranges, best_model, options); });
  }
  return ranked;
}

}  // namespace lmbits
