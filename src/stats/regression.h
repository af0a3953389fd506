// A straight line through points: least squares and Theil-Sen, what it predicts, and which point moves it.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

// y = intercept + slope x by least squares.
struct LinearFit {
  std::size_t n = 0;
  double slope = 0.0, intercept = 0.0;
  double r_squared = 0.0;
  double rmse = 0.0;                // sqrt(SS_residual / n), as Huang et al. 2024 print it
  double residual_sd = 0.0;         // sqrt(SS_residual / (n - 2)); NaN with two points
  double x_mean = 0.0, x_ss = 0.0;  // mean of x, and sum of (x - mean)^2

  double at(double x) const { return intercept + slope * x; }
  double slope_error() const;  // standard errors
  double intercept_error() const;
};

// nullopt under two points, or where x is constant. r_squared is 1 where y is constant.
std::optional<LinearFit> fit_line(std::span<const double> x, std::span<const double> y);

// Student's t with n - 2 degrees of freedom; residuals are taken as independent, normal and of one size. nullopt under
// three points.
std::optional<Interval> slope_interval(const LinearFit& fit, double level);
std::optional<Interval> intercept_interval(const LinearFit& fit, double level);
// Of the standard deviation around the line, which rmse estimates (low, with few points): sqrt(n rmse^2 / q), q the
// quantiles of chi squared with n - 2 degrees of freedom.
std::optional<Interval> rmse_interval(const LinearFit& fit, double level);
// Of the line at x (the confidence band), and of a new point there (the prediction band).
std::optional<Interval> line_interval(const LinearFit& fit, double x, double level);
std::optional<Interval> prediction_interval(const LinearFit& fit, double x, double level);

// What one point does to the line.
struct Influence {
  double residual = 0.0;
  double leverage = 0.0;                  // 1 / n + (x - mean)^2 / x_ss
  std::optional<double> cooks_distance;   // Cook 1977, doi:10.1080/00401706.1977.10489493
  std::optional<double> predicted;        // by the line through the other points
  std::optional<Interval> prediction;     // its interval for a new point
  std::optional<double> pearson_without;  // r of the other points
};
std::vector<Influence> influences(std::span<const double> x, std::span<const double> y, double level);

// The median of the slopes between all pairs with different x, and median(y) - slope median(x) (Theil 1950; Sen 1968,
// doi:10.1080/01621459.1968.10480934). The interval of the slope is Sen's, from the normal approximation to Kendall's
// score with ties.
struct TheilSen {
  double slope = 0.0, intercept = 0.0;
};
std::optional<TheilSen> theil_sen(std::span<const double> x, std::span<const double> y);
std::optional<Interval> theil_sen_interval(std::span<const double> x, std::span<const double> y, double level);

}  // namespace lmbits
