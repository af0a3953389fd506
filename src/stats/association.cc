#include "src/stats/association.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/stats/order_numbers.h"
#include "src/stats/permutation_tests.h"
#include "src/stats/random.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

constexpr std::size_t kFewestPoints = 5, kFewestClusters = 4;
constexpr double kMostConstant = 0.05;  // of the resamples
constexpr std::size_t kNumbers = 9;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Sample {
  std::vector<double> x, y;
};

// The estimates of an Association in one order, so that replicates and estimates are matched by it.
using Numbers = std::array<double, kNumbers>;

std::array<Estimate Association::*, kNumbers> members() {
  return {&Association::pearson,   &Association::spearman,        &Association::kendall,
          &Association::slope,     &Association::intercept,       &Association::rmse,
          &Association::r_squared, &Association::theil_sen_slope, &Association::theil_sen_intercept};
}

Numbers numbers_of(const Sample& sample, const OrderNumbers::Numbers& by_order) {
  Numbers numbers;
  numbers.fill(kNaN);
  numbers[0] = correlation(Correlation::kPearson, sample.x, sample.y).value_or(kNaN);
  numbers[1] = by_order.spearman.value_or(kNaN);
  numbers[2] = by_order.kendall.value_or(kNaN);
  if (const std::optional<LinearFit> fit = fit_line(sample.x, sample.y)) {
    numbers[3] = fit->slope;
    numbers[4] = fit->intercept;
    numbers[5] = fit->rmse;
    numbers[6] = fit->r_squared;
  }
  if (by_order.line) {
    numbers[7] = by_order.line->slope;
    numbers[8] = by_order.line->intercept;
  }
  return numbers;
}

Numbers numbers_of(const Sample& sample) {
  return numbers_of(sample, {correlation(Correlation::kSpearman, sample.x, sample.y),
                             correlation(Correlation::kKendall, sample.x, sample.y), theil_sen(sample.x, sample.y)});
}

// The standard error of Fisher's z of a sample with Pearson's r from the influence function of r,
// zx zy - r (zx^2 + zy^2) / 2, over 1 - r^2: a jackknife without the leaving out.
double z_error(const Sample& sample, double r) {
  const auto n = static_cast<double>(sample.x.size());
  double x_mean = 0.0, y_mean = 0.0, x_ss = 0.0, y_ss = 0.0;
  for (std::size_t i = 0; i < sample.x.size(); ++i) {
    x_mean += sample.x[i] / n;
    y_mean += sample.y[i] / n;
  }
  for (std::size_t i = 0; i < sample.x.size(); ++i) {
    x_ss += (sample.x[i] - x_mean) * (sample.x[i] - x_mean) / n;
    y_ss += (sample.y[i] - y_mean) * (sample.y[i] - y_mean) / n;
  }
  double squares = 0.0;
  const double x_sd = std::sqrt(x_ss), y_sd = std::sqrt(y_ss);
  for (std::size_t i = 0; i < sample.x.size(); ++i) {
    const double zx = (sample.x[i] - x_mean) / x_sd, zy = (sample.y[i] - y_mean) / y_sd;
    const double influence = (zx * zy - 0.5 * r * (zx * zx + zy * zy)) / (1.0 - r * r);
    squares += influence * influence;
  }
  return std::sqrt(squares) / n;
}

// The members of each cluster, in the order of their numbers.
std::vector<std::vector<std::size_t>> groups_of(std::span<const std::size_t> clusters, std::size_t n) {
  std::map<std::size_t, std::vector<std::size_t>> by_number;
  for (std::size_t i = 0; i < n; ++i) by_number[clusters.empty() ? i : clusters[i]].push_back(i);
  std::vector<std::vector<std::size_t>> groups;
  for (const auto& entry : by_number) groups.push_back(entry.second);
  return groups;
}

bool varies(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [&](double v) { return v != values[0]; });
}

// Draws as many groups as there are, with replacement; again until three different points are among them, and neither
// side is constant: `n_constant` counts draws that were. Point i is drawn counts[i] times.
void draw(const Sample& sample, const std::vector<std::vector<std::size_t>>& groups, Random& random, Sample& drawn,
          std::vector<std::int32_t>& counts, std::int64_t& n_constant) {
  while (true) {
    drawn.x.clear();
    drawn.y.clear();
    counts.assign(sample.x.size(), 0);
    std::size_t n_different = 0;
    for (std::size_t k = 0; k < groups.size(); ++k) {
      for (const std::size_t i : groups[random.below(static_cast<std::uint32_t>(groups.size()))]) {
        drawn.x.push_back(sample.x[i]);
        drawn.y.push_back(sample.y[i]);
        n_different += counts[i]++ == 0;
      }
    }
    if (n_different < 3) continue;
    if (varies(drawn.x) && varies(drawn.y)) return;
    ++n_constant;
  }
}

struct Replicates {
  std::array<std::vector<double>, kNumbers> numbers;
  std::vector<double> t;                 // (z* - z) / its error
  std::vector<std::int64_t> n_constant;  // draws that were drawn again, a chunk each

  // So many that those left are about a few points that always have to be among them.
  bool mostly_constant() const {
    const auto n = static_cast<double>(std::accumulate(n_constant.begin(), n_constant.end(), std::int64_t{0}));
    return n > kMostConstant * static_cast<double>(t.size());
  }
};

Replicates replicate(const Sample& sample, const std::vector<std::vector<std::size_t>>& groups, double pearson,
                     const AssociationOptions& options, std::uint64_t stream) {
  constexpr std::int64_t kChunk = 250;
  Replicates replicates;
  const auto n = static_cast<std::size_t>(options.n_resamples);
  for (auto& values : replicates.numbers) values.resize(n);
  replicates.t.resize(n);
  replicates.n_constant.resize((n + static_cast<std::size_t>(kChunk) - 1) / static_cast<std::size_t>(kChunk));
  const OrderNumbers order(sample.x, sample.y);
  parallel_for((options.n_resamples + kChunk - 1) / kChunk, options.n_threads, [&](std::int64_t chunk) {
    const auto end = static_cast<std::size_t>(std::min(options.n_resamples, (chunk + 1) * kChunk));
    Sample drawn;
    std::vector<std::int32_t> counts;
    for (auto b = static_cast<std::size_t>(chunk * kChunk); b < end; ++b) {
      Random random(options.seed, (stream << 32) + b);
      draw(sample, groups, random, drawn, counts, replicates.n_constant[static_cast<std::size_t>(chunk)]);
      const Numbers numbers = numbers_of(drawn, order.of(counts));
      for (std::size_t k = 0; k < kNumbers; ++k) replicates.numbers[k][b] = numbers[k];
      replicates.t[b] = (std::atanh(numbers[0]) - std::atanh(pearson)) / z_error(drawn, numbers[0]);
    }
  });
  return replicates;
}

// Leave-one-out influences on each number, for BCa's acceleration.
std::array<std::vector<double>, kNumbers> jackknife(const Sample& sample) {
  std::array<std::vector<double>, kNumbers> values;
  for (std::size_t i = 0; i < sample.x.size(); ++i) {
    Sample rest = sample;
    rest.x.erase(rest.x.begin() + static_cast<std::ptrdiff_t>(i));
    rest.y.erase(rest.y.begin() + static_cast<std::ptrdiff_t>(i));
    const Numbers numbers = numbers_of(rest);
    for (std::size_t k = 0; k < kNumbers; ++k) values[k].push_back(numbers[k]);
  }
  for (auto& v : values) centre_jackknife(v);
  return values;
}

std::optional<Interval> bootstrap_t(std::vector<double> t, double pearson, double error, double level) {
  const auto q = bootstrap_interval(std::move(t), 0.0, 0.0, level, IntervalMethod::kPercentile);
  if (!q || !std::isfinite(error)) return std::nullopt;
  const double z = std::atanh(pearson);
  return Interval{std::tanh(z - q->hi * error), std::tanh(z - q->lo * error)};
}

std::optional<Interval> clusters_t(const Sample& sample, const std::vector<std::vector<std::size_t>>& clusters,
                                   double level) {
  std::vector<double> z;
  for (std::size_t left_out = 0; left_out < clusters.size(); ++left_out) {
    Sample rest;
    for (std::size_t g = 0; g < clusters.size(); ++g) {
      for (const std::size_t i : clusters[g]) {
        if (g == left_out) break;
        rest.x.push_back(sample.x[i]);
        rest.y.push_back(sample.y[i]);
      }
    }
    z.push_back(std::atanh(correlation(Correlation::kPearson, rest.x, rest.y).value_or(kNaN)));
  }
  const auto n = static_cast<double>(z.size());
  double mean = 0.0, squares = 0.0;
  for (const double value : z) mean += value / n;
  for (const double value : z) squares += (value - mean) * (value - mean);
  const double all = std::atanh(correlation(Correlation::kPearson, sample.x, sample.y).value_or(kNaN));
  const double half = student_t_quantile(0.5 * (1.0 + level), n - 1.0) * std::sqrt((n - 1.0) / n * squares);
  if (!std::isfinite(all) || !std::isfinite(half)) return std::nullopt;
  return Interval{std::tanh(all - half), std::tanh(all + half)};
}

void add_bootstrap(const Sample& sample, const std::vector<std::vector<std::size_t>>& clusters,
                   const AssociationOptions& options, Association& result) {
  if (result.n < kFewestPoints || !result.pearson.value) return;
  const double pearson = *result.pearson.value;
  const bool has_clusters = clusters.size() >= kFewestClusters && clusters.size() < result.n;
  if (has_clusters) result.pearson_clusters_t = clusters_t(sample, clusters, options.level);
  const Replicates points = replicate(sample, groups_of({}, result.n), pearson, options, 1);
  if (points.mostly_constant()) return;
  const auto influences = jackknife(sample);
  const auto fields = members();
  for (std::size_t k = 0; k < kNumbers; ++k) {
    Estimate& estimate = result.*fields[k];
    if (!estimate.value) continue;
    const double a = acceleration(influences[k]);
    estimate.bca = bootstrap_interval(points.numbers[k], *estimate.value, a, options.level, IntervalMethod::kBca);
    estimate.percentile =
        bootstrap_interval(points.numbers[k], *estimate.value, a, options.level, IntervalMethod::kPercentile);
  }
  result.pearson_bootstrap_t = bootstrap_t(points.t, pearson, z_error(sample, pearson), options.level);
  if (!has_clusters) return;
  const Replicates whole = replicate(sample, clusters, pearson, options, 2);
  if (whole.mostly_constant()) return;
  for (std::size_t k = 0; k < kNumbers; ++k) {
    Estimate& estimate = result.*fields[k];
    if (estimate.value)
      estimate.clusters =
          bootstrap_interval(whole.numbers[k], *estimate.value, 0.0, options.level, IntervalMethod::kPercentile);
  }
}

// Where r lies between, r^2 does: resampled ones are never 0, and so never hold a true 0.
std::optional<Interval> squared(const std::optional<Interval>& r) {
  if (!r) return std::nullopt;
  const double a = r->lo * r->lo, b = r->hi * r->hi;
  return Interval{r->contains(0.0) ? 0.0 : std::min(a, b), std::max(a, b)};
}

void add_formulas(const Sample& sample, const AssociationOptions& options, Association& result) {
  const auto interval = [&](Correlation kind, const Estimate& estimate) -> std::optional<Interval> {
    if (!estimate.value) return std::nullopt;
    return fisher_z_interval(kind, *estimate.value, result.n, options.level);
  };
  result.pearson.formula = interval(Correlation::kPearson, result.pearson);
  result.spearman.formula = interval(Correlation::kSpearman, result.spearman);
  result.kendall.formula = interval(Correlation::kKendall, result.kendall);
  result.r_squared.formula = squared(result.pearson.formula);
  if (result.fit) {
    result.slope.formula = slope_interval(*result.fit, options.level);
    result.intercept.formula = intercept_interval(*result.fit, options.level);
    result.rmse.formula = rmse_interval(*result.fit, options.level);
  }
  result.theil_sen_slope.formula = theil_sen_interval(sample.x, sample.y, options.level);
}

}  // namespace

Association associate(std::span<const double> x, std::span<const double> y, std::span<const std::size_t> clusters,
                      const AssociationOptions& options) {
  LMBITS_CHECK(x.size() == y.size() && (clusters.empty() || clusters.size() == x.size()));
  const Sample sample{{x.begin(), x.end()}, {y.begin(), y.end()}};
  const auto groups = groups_of(clusters, x.size());
  Association result;
  result.n = x.size();
  result.n_clusters = groups.size();
  for (const auto& group : groups) result.largest_cluster = std::max(result.largest_cluster, group.size());
  const Numbers numbers = numbers_of(sample);
  const auto fields = members();
  for (std::size_t k = 0; k < kNumbers; ++k)
    if (std::isfinite(numbers[k])) (result.*fields[k]).value = numbers[k];
  result.fit = fit_line(x, y);
  result.influences = influences(x, y, options.level);
  add_formulas(sample, options, result);
  add_bootstrap(sample, groups, options, result);
  const auto tests = permutation_tests({Correlation::kPearson, Correlation::kSpearman, Correlation::kKendall}, x, y,
                                       options.n_permutations, options.seed);
  result.pearson_test = tests[0];
  result.spearman_test = tests[1];
  result.kendall_test = tests[2];
  if (result.pearson.value) result.pearson_t_p = pearson_t_test(*result.pearson.value, result.n);
  return result;
}

std::optional<std::size_t> most_moving(const Association& association) {
  const std::vector<Influence>& all = association.influences;
  const bool any =
      std::any_of(all.begin(), all.end(), [](const Influence& i) { return i.pearson_without.has_value(); });
  if (!association.pearson.value || !any) return std::nullopt;
  const auto moved = [&](const Influence& i) {
    return i.pearson_without ? std::abs(*i.pearson_without - *association.pearson.value)
                             : std::numeric_limits<double>::infinity();
  };
  const auto most = std::max_element(all.begin(), all.end(),
                                     [&](const Influence& a, const Influence& b) { return moved(a) < moved(b); });
  return static_cast<std::size_t>(most - all.begin());
}

std::int64_t default_model_resamples(std::size_t n) {
  const auto pairs = static_cast<std::int64_t>(n * n / 2 + 1);
  return std::clamp<std::int64_t>(20'000'000 / pairs, 1000, 10000);
}

}  // namespace lmbits
