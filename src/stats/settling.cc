#include "src/stats/settling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/stats/correlation.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

constexpr std::size_t kSteps = 200;  // prefixes looked at in one order

double quantile(std::vector<double>& values, double p) {
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

Spread spread_of(std::vector<double> values, double level) {
  const double median = quantile(values, 0.5);
  return {median, {quantile(values, 0.5 * (1.0 - level)), quantile(values, 0.5 * (1.0 + level))}};
}

// Prefix lengths in units: 1, 2, 4 ... and all, those that the curve shows, with up to kSteps evenly spaced between.
struct Prefixes {
  std::vector<std::size_t> all;
  std::vector<std::size_t> shown;  // indices into `all`
};

Prefixes prefixes_of(std::size_t n_units) {
  Prefixes prefixes;
  const std::size_t steps = std::min(n_units, kSteps);
  for (std::size_t s = 1; s <= steps; ++s) prefixes.all.push_back(s * n_units / steps);
  for (std::size_t n = 1; n < n_units; n *= 2) prefixes.all.push_back(n);
  std::sort(prefixes.all.begin(), prefixes.all.end());
  prefixes.all.erase(std::unique(prefixes.all.begin(), prefixes.all.end()), prefixes.all.end());
  for (std::size_t i = 0; i < prefixes.all.size(); ++i) {
    const std::size_t n = prefixes.all[i];
    if (n == n_units || (n & (n - 1)) == 0) prefixes.shown.push_back(i);
  }
  return prefixes;
}

// One order of the text, at every prefix.
struct Path {
  std::vector<double> weight, r, tau;
};

std::vector<double> values_at(const std::vector<double>& bits, double weight) {
  std::vector<double> values;
  for (const double b : bits) values.push_back(b / weight);
  return values;
}

Path walk(const PairedUnits& units, std::span<const double> y, const std::vector<double>& final_values,
          const Prefixes& prefixes, Random random) {
  std::vector<std::size_t> order(units.weight.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[random.below(static_cast<std::uint32_t>(i + 1))]);
  Path path;
  std::vector<double> bits(units.bits.size(), 0.0);
  double weight = 0.0;
  std::size_t done = 0;
  for (const std::size_t n : prefixes.all) {
    for (; done < n; ++done) {
      weight += units.weight[order[done]];
      for (std::size_t m = 0; m < bits.size(); ++m) bits[m] += units.bits[m][order[done]];
    }
    const std::vector<double> values = values_at(bits, weight);
    path.weight.push_back(weight);
    path.tau.push_back(correlation(Correlation::kKendall, values, final_values).value_or(0.0));
    if (!y.empty()) path.r.push_back(correlation(Correlation::kPearson, values, y).value_or(0.0));
  }
  return path;
}

// The weight from which on `is_near` holds at every prefix.
template <typename IsNear>
double settled_at(const Path& path, const IsNear& is_near) {
  std::size_t i = path.weight.size() - 1;
  while (i > 0 && is_near(i - 1)) --i;
  return path.weight[i];
}

std::vector<double> column(const std::vector<Path>& paths, std::vector<double> Path::*member, std::size_t i) {
  std::vector<double> values;
  for (const Path& path : paths) values.push_back((path.*member)[i]);
  return values;
}

std::optional<Interval> resampled_r(const PairedUnits& units, std::span<const double> y, double r,
                                    const SettlingOptions& options) {
  const Resamples resamples = resample(units, options.n_resamples, options.seed, 0, options.n_threads);
  std::vector<double> replicates;
  for (std::size_t b = 0; b < resamples.weight.size(); ++b) {
    std::vector<double> values;
    for (const auto& bits : resamples.bits) values.push_back(bits[b] / resamples.weight[b]);
    replicates.push_back(correlation(Correlation::kPearson, values, y).value_or(0.0));
  }
  return bootstrap_interval(std::move(replicates), r, 0.0, options.level, IntervalMethod::kPercentile);
}

}  // namespace

Settling settle(const PairedUnits& units, std::span<const double> y, const SettlingOptions& options) {
  LMBITS_CHECK(units.weight.size() >= 2 && units.bits.size() >= 2 && (y.empty() || y.size() == units.bits.size()));
  Settling result;
  result.weight = std::accumulate(units.weight.begin(), units.weight.end(), 0.0);
  std::vector<double> sums;
  for (const auto& bits : units.bits) sums.push_back(std::accumulate(bits.begin(), bits.end(), 0.0));
  const std::vector<double> final_values = values_at(sums, result.weight);
  if (!y.empty()) result.r = correlation(Correlation::kPearson, final_values, y);
  const std::span<const double> scores = result.r ? y : std::span<const double>();

  const Prefixes prefixes = prefixes_of(units.weight.size());
  std::vector<Path> paths(static_cast<std::size_t>(options.n_orders));
  parallel_for(options.n_orders, options.n_threads, [&](std::int64_t k) {
    paths[static_cast<std::size_t>(k)] =
        walk(units, scores, final_values, prefixes, Random(options.seed, static_cast<std::uint64_t>(k)));
  });
  for (const std::size_t i : prefixes.shown) {
    const std::vector<double> weights = column(paths, &Path::weight, i);
    SettlingPoint point;
    point.weight = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
    point.tau = spread_of(column(paths, &Path::tau, i), options.level);
    if (result.r) point.r = spread_of(column(paths, &Path::r, i), options.level);
    result.curve.push_back(point);
  }
  std::vector<double> order_settled, r_settled;
  for (const Path& path : paths) {
    order_settled.push_back(
        settled_at(path, [&](std::size_t i) { return path.tau[i] >= 1.0 - options.tau_tolerance; }));
    if (result.r)
      r_settled.push_back(
          settled_at(path, [&](std::size_t i) { return std::abs(path.r[i] - *result.r) <= options.r_tolerance; }));
  }
  result.order_settled = spread_of(std::move(order_settled), options.level);
  if (!result.r) return result;
  result.r_settled = spread_of(std::move(r_settled), options.level);
  result.r_by_text = resampled_r(units, y, *result.r, options);
  return result;
}

}  // namespace lmbits
