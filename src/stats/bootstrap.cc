#include "src/stats/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

// The resampled sums are a matrix product, counts [B,U] x units [U,M+1] (the weights are the last column). It runs in
// register tiles of 2 resamples x 8 columns; the sum over units is always in the units' order, so tiling, threads and the
// number of models change no bit of the result.
constexpr std::size_t kTileRows = 2;
constexpr std::size_t kTileColumns = 8;
constexpr std::size_t kRowsPerTask = 64;

struct Panel {  // 8 columns of the units, unit by unit
  std::vector<std::array<double, kTileColumns>> units;
};

std::vector<Panel> pack(const PairedUnits& units) {
  const std::size_t n_columns = units.bits.size() + 1;
  std::vector<Panel> panels((n_columns + kTileColumns - 1) / kTileColumns);
  for (Panel& panel : panels) panel.units.assign(units.weight.size(), {});
  for (std::size_t column = 0; column < n_columns; ++column) {
    const std::vector<double>& from = column + 1 < n_columns ? units.bits[column] : units.weight;
    LMBITS_CHECK(from.size() == units.weight.size());
    Panel& to = panels[column / kTileColumns];
    for (std::size_t u = 0; u < from.size(); ++u) to.units[u][column % kTileColumns] = from[u];
  }
  return panels;
}

using Tile = std::array<std::array<double, kTileColumns>, kTileRows>;

Tile multiply(const std::vector<double>& counts0, const std::vector<double>& counts1, const Panel& panel) {
  Tile sums{};
  for (std::size_t u = 0; u < panel.units.size(); ++u) {
    for (std::size_t k = 0; k < kTileColumns; ++k) sums[0][k] += counts0[u] * panel.units[u][k];
    for (std::size_t k = 0; k < kTileColumns; ++k) sums[1][k] += counts1[u] * panel.units[u][k];
  }
  return sums;
}

void draw_counts(Random random, std::vector<double>& counts) {
  std::fill(counts.begin(), counts.end(), 0.0);
  const auto n = static_cast<std::uint32_t>(counts.size());
  for (std::uint32_t i = 0; i < n; ++i) counts[random.below(n)] += 1.0;
}

// The values that come first by `before`, all up to some bound: at least n_wanted of them, found by a sample's bound and
// one pass without branches where selecting takes several with them. All values where the sample misleads.
template <typename Before>
std::vector<double> first_values(const std::vector<double>& values, std::size_t n_wanted, Before before) {
  constexpr std::size_t kStep = 16;
  std::vector<double> sample;
  for (std::size_t i = 0; i < values.size(); i += kStep) sample.push_back(values[i]);
  const double expected = static_cast<double>(n_wanted) / kStep;
  const auto place = static_cast<std::size_t>(expected + 4.0 * std::sqrt(expected) + 4.0);
  if (place >= sample.size()) return values;
  const auto bound = sample.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(sample.begin(), bound, sample.end(), before);
  std::vector<double> chosen(values.size());
  std::size_t n = 0;
  for (const double value : values) {
    chosen[n] = value;
    n += !before(*bound, value);
  }
  if (n < n_wanted) return values;
  chosen.resize(n);
  return chosen;
}

// The p quantile of `values`, interpolated linearly between order statistics (Hyndman & Fan's type 7), counted from the end
// that is nearer.
double quantile(const std::vector<double>& values, double p) {
  const double position = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const double share = position - static_cast<double>(below);
  const bool from_top = p > 0.5;
  const std::size_t place =
      from_top ? values.size() - 1 - below : below;  // of the order statistic below, from that end
  std::vector<double> near = from_top ? first_values(values, place + 1, std::greater<>())
                                      : first_values(values, std::min(place + 2, values.size()), std::less<>());
  const auto nth = near.begin() + static_cast<std::ptrdiff_t>(place);
  if (from_top) {
    std::nth_element(near.begin(), nth, near.end(), std::greater<>());
  } else {
    std::nth_element(near.begin(), nth, near.end());
  }
  if (share == 0.0) return *nth;
  const double next = from_top ? *std::min_element(near.begin(), nth) : *std::min_element(nth + 1, near.end());
  return *nth + share * (next - *nth);
}

// The probability whose quantile BCa takes in the place of normal_cdf(z): equation (14.10) of the book.
// It grows with z, up to where the denominator is 0: from there on it is the end that it went to.
double bca_probability(double z, double bias, double acceleration) {
  const double rest = 1.0 - acceleration * (bias + z);
  if (rest <= 0.0) return bias + z > 0.0 ? 1.0 : 0.0;
  return normal_cdf(bias + (bias + z) / rest);
}

}  // namespace

Resamples resample(const PairedUnits& units, std::int64_t n_resamples, std::uint64_t seed, std::uint64_t stream,
                   int n_threads) {
  const std::size_t n_units = units.weight.size(), n_models = units.bits.size();
  LMBITS_CHECK(n_units > 0 && n_units < (std::uint64_t{1} << 32) && n_resamples > 0);
  const auto n = static_cast<std::size_t>(n_resamples);
  const std::vector<Panel> panels = pack(units);
  Resamples result{std::vector<double>(n), std::vector<std::vector<double>>(n_models, std::vector<double>(n))};

  const auto store = [&](std::size_t row, std::size_t panel, const std::array<double, kTileColumns>& sums) {
    for (std::size_t k = 0; k < kTileColumns; ++k) {
      const std::size_t column = panel * kTileColumns + k;
      if (column < n_models) result.bits[column][row] = sums[k];
      if (column == n_models) result.weight[row] = sums[k];
    }
  };
  const auto n_tasks = static_cast<std::int64_t>((n + kRowsPerTask - 1) / kRowsPerTask);
  parallel_for(n_tasks, n_threads, [&](std::int64_t index) {
    const auto task = static_cast<std::size_t>(index);
    std::vector<double> counts0(n_units), counts1(n_units);
    const std::size_t end = std::min(n, (task + 1) * kRowsPerTask);
    for (std::size_t row = task * kRowsPerTask; row < end; row += kTileRows) {
      draw_counts(Random(seed, (stream << 32) + row), counts0);
      if (row + 1 < end) draw_counts(Random(seed, (stream << 32) + row + 1), counts1);
      for (std::size_t panel = 0; panel < panels.size(); ++panel) {
        const Tile sums = multiply(counts0, counts1, panels[panel]);
        store(row, panel, sums[0]);
        if (row + 1 < end) store(row + 1, panel, sums[1]);
      }
    }
  });
  return result;
}

std::int64_t default_resamples(std::size_t n_models, std::size_t n_units) {
  constexpr double kProducts = 2e8;  // a tenth of a second on one core
  const double products_per_resample =
      static_cast<double>(n_models + 1) * static_cast<double>(std::max<std::size_t>(n_units, 1));
  return static_cast<std::int64_t>(std::clamp(kProducts / products_per_resample, 1000.0, 10000.0));
}

std::optional<Interval> bootstrap_interval(std::vector<double> replicates, double estimate, double acceleration,
                                           double level, IntervalMethod method) {
  if (replicates.empty()) return std::nullopt;
  double n_below = 0.0, sum = 0.0;
  for (const double x : replicates) {
    n_below += x < estimate ? 1.0 : x == estimate ? 0.5 : 0.0;
    sum += x;
  }
  if (!std::isfinite(sum)) return std::nullopt;

  double p_lo = 0.5 * (1.0 - level), p_hi = 0.5 * (1.0 + level);
  const double bias = normal_quantile(n_below / static_cast<double>(replicates.size()));
  if (method == IntervalMethod::kBca && std::isfinite(bias)) {
    const double z = normal_quantile(p_hi);
    p_lo = bca_probability(-z, bias, acceleration);
    p_hi = bca_probability(z, bias, acceleration);
  }
  return Interval{quantile(replicates, p_lo), quantile(replicates, p_hi)};
}

double acceleration(const std::vector<double>& influences) {
  double squares = 0.0, cubes = 0.0;
  for (const double d : influences) {
    squares += d * d;
    cubes += d * d * d;
  }
  const double a = cubes / (6.0 * std::pow(squares, 1.5));
  return std::isfinite(a) ? a : 0.0;
}

void centre_jackknife(std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  for (double& value : values) value = (n - 1.0) / n * (mean - value);
}

}  // namespace lmbits
