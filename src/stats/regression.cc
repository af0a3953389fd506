#include "src/stats/regression.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "src/core/error.h"
#include "src/stats/correlation.h"
#include "src/stats/normal.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  const double upper = *middle;
  return values.size() % 2 == 1 ? upper : 0.5 * (upper + *std::max_element(values.begin(), middle));
}

std::optional<Interval> t_interval(const LinearFit& fit, double centre, double error, double level) {
  if (fit.n < 3) return std::nullopt;
  const double half = student_t_quantile(0.5 * (1.0 + level), static_cast<double>(fit.n) - 2.0) * error;
  return Interval{centre - half, centre + half};
}

// P(chi squared with `df` degrees of freedom >= x), x > 0: two more degrees add (x/2)^(df/2) e^(-x/2) / Gamma(df/2 + 1).
double chi_squared_upper(double x, std::size_t df) {
  const bool odd = df % 2 == 1;
  double upper = odd ? std::erfc(std::sqrt(0.5 * x)) : std::exp(-0.5 * x);
  double k = odd ? 1.0 : 2.0;
  double log_term = 0.5 * k * std::log(0.5 * x) - 0.5 * x - (odd ? std::log(0.5 * std::sqrt(std::numbers::pi)) : 0.0);
  for (; k < static_cast<double>(df); k += 2.0) {
    upper += std::exp(log_term);
    log_term += std::log(0.5 * x) - std::log(0.5 * k + 1.0);
  }
  return upper;
}

double chi_squared_quantile(double p, std::size_t df) {
  double lo = 0.0, hi = static_cast<double>(df);
  while (chi_squared_upper(hi, df) > 1.0 - p) hi *= 2.0;
  for (int i = 0; i < 200 && hi - lo > 1e-15 * hi; ++i) {
    const double middle = 0.5 * (lo + hi);
    (chi_squared_upper(middle, df) > 1.0 - p ? lo : hi) = middle;
  }
  return 0.5 * (lo + hi);
}

std::vector<double> without(std::span<const double> values, std::size_t i) {
  std::vector<double> rest(values.begin(), values.end());
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
  return rest;
}

std::vector<double> pair_slopes(std::span<const double> x, std::span<const double> y) {
  std::vector<double> slopes;
  slopes.reserve(x.size() * x.size() / 2);
  for (std::size_t i = 1; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j)
      if (x[i] != x[j]) slopes.push_back((y[i] - y[j]) / (x[i] - x[j]));
  }
  return slopes;
}

// Sum over groups of t equal values of t (t - 1) (2 t + 5).
double tie_term(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  double term = 0.0;
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const auto t = static_cast<double>(end - begin);
    term += t * (t - 1.0) * (2.0 * t + 5.0);
  }
  return term;
}

}  // namespace

double LinearFit::slope_error() const { return residual_sd / std::sqrt(x_ss); }

double LinearFit::intercept_error() const {
  return residual_sd * std::sqrt(1.0 / static_cast<double>(n) + x_mean * x_mean / x_ss);
}

std::optional<LinearFit> fit_line(std::span<const double> x, std::span<const double> y) {
  LMBITS_CHECK(x.size() == y.size());
  if (x.size() < 2) return std::nullopt;
  LinearFit fit;
  fit.n = x.size();
  fit.x_mean = mean(x);
  const double y_mean = mean(y);
  double xy = 0.0, y_ss = 0.0, residual_ss = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    fit.x_ss += (x[i] - fit.x_mean) * (x[i] - fit.x_mean);
    y_ss += (y[i] - y_mean) * (y[i] - y_mean);
    xy += (x[i] - fit.x_mean) * (y[i] - y_mean);
  }
  if (!(fit.x_ss > 0.0) || std::all_of(x.begin(), x.end(), [&](double v) { return v == x[0]; })) return std::nullopt;
  fit.slope = xy / fit.x_ss;
  fit.intercept = y_mean - fit.slope * fit.x_mean;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double residual = (y[i] - y_mean) - fit.slope * (x[i] - fit.x_mean);
    residual_ss += residual * residual;
  }
  const auto n = static_cast<double>(fit.n);
  fit.r_squared = y_ss > 0.0 ? 1.0 - residual_ss / y_ss : 1.0;
  fit.rmse = std::sqrt(residual_ss / n);
  fit.residual_sd = std::sqrt(residual_ss / (n - 2.0));
  return fit;
}

std::optional<Interval> slope_interval(const LinearFit& fit, double level) {
  return t_interval(fit, fit.slope, fit.slope_error(), level);
}

std::optional<Interval> intercept_interval(const LinearFit& fit, double level) {
  return t_interval(fit, fit.intercept, fit.intercept_error(), level);
}

std::optional<Interval> rmse_interval(const LinearFit& fit, double level) {
  if (fit.n < 3) return std::nullopt;
  const double root = fit.rmse * std::sqrt(static_cast<double>(fit.n));
  const auto at = [&](double p) { return root / std::sqrt(chi_squared_quantile(p, fit.n - 2)); };
  return Interval{at(0.5 * (1.0 + level)), at(0.5 * (1.0 - level))};
}

std::optional<Interval> line_interval(const LinearFit& fit, double x, double level) {
  const double d = x - fit.x_mean;
  return t_interval(fit, fit.at(x), fit.residual_sd * std::sqrt(1.0 / static_cast<double>(fit.n) + d * d / fit.x_ss),
                    level);
}

std::optional<Interval> prediction_interval(const LinearFit& fit, double x, double level) {
  const double d = x - fit.x_mean;
  return t_interval(fit, fit.at(x),
                    fit.residual_sd * std::sqrt(1.0 + 1.0 / static_cast<double>(fit.n) + d * d / fit.x_ss), level);
}

std::vector<Influence> influences(std::span<const double> x, std::span<const double> y, double level) {
  const std::optional<LinearFit> fit = fit_line(x, y);
  if (!fit) return {};
  std::vector<Influence> result;
  for (std::size_t i = 0; i < x.size(); ++i) {
    Influence point;
    const double d = x[i] - fit->x_mean;
    point.residual = y[i] - fit->at(x[i]);
    point.leverage = 1.0 / static_cast<double>(fit->n) + d * d / fit->x_ss;
    const double rest = 1.0 - point.leverage;
    const double cook =
        point.residual * point.residual * point.leverage / (2.0 * fit->residual_sd * fit->residual_sd * rest * rest);
    if (std::isfinite(cook) && rest > 1e-12) point.cooks_distance = cook;
    const std::vector<double> others_x = without(x, i), others_y = without(y, i);
    if (const std::optional<LinearFit> others = fit_line(others_x, others_y)) {
      point.predicted = others->at(x[i]);
      point.prediction = prediction_interval(*others, x[i], level);
    }
    point.pearson_without = correlation(Correlation::kPearson, others_x, others_y);
    result.push_back(point);
  }
  return result;
}

std::optional<TheilSen> theil_sen(std::span<const double> x, std::span<const double> y) {
  LMBITS_CHECK(x.size() == y.size());
  std::vector<double> slopes = pair_slopes(x, y);
  if (slopes.empty()) return std::nullopt;
  const double slope = median(std::move(slopes));
  return TheilSen{slope, median({y.begin(), y.end()}) - slope * median({x.begin(), x.end()})};
}

std::optional<Interval> theil_sen_interval(std::span<const double> x, std::span<const double> y, double level) {
  std::vector<double> slopes = pair_slopes(x, y);
  if (slopes.size() < 2 || x.size() < 3) return std::nullopt;
  std::sort(slopes.begin(), slopes.end());
  const auto n = static_cast<double>(x.size()), n_slopes = static_cast<double>(slopes.size());
  const double variance = (n * (n - 1.0) * (2.0 * n + 5.0) - tie_term(x) - tie_term(y)) / 18.0;
  const double half = normal_quantile(0.5 * (1.0 + level)) * std::sqrt(variance);
  const double last = n_slopes - 1.0;
  const double lo = std::max(0.0, std::nearbyint(0.5 * (n_slopes - half)) - 1.0);
  const double hi = std::min(last, std::nearbyint(0.5 * (n_slopes + half)));
  return Interval{slopes[static_cast<std::size_t>(lo)], slopes[static_cast<std::size_t>(hi)]};
}

}  // namespace lmbits
