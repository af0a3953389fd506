#include "src/stats/student_t.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>

namespace lmbits {
namespace {

// log Gamma(x), x > 0. std::lgamma also writes the sign to a variable that all threads share.
double log_gamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

// I_x(a, b) for x <= (a + 1) / (a + b + 2), where the fraction converges fast; evaluated by Lentz's method.
double incomplete_beta_below(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const double log_front =
      log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x) - std::log(a);
  double c = 1.0, d = 1.0 / std::max(1.0 - (a + b) * x / (a + 1.0), kTiny), fraction = d;
  for (int m = 1; m < 10000; ++m) {
    const double k = m;
    const double even = k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k));
    const double odd = -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0));
    double step = 1.0;
    for (const double numerator : {even, odd}) {
      d = 1.0 + numerator * d;
      c = 1.0 + numerator / c;
      if (std::abs(d) < kTiny) d = kTiny;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1.0 / d;
      step = c * d;
      fraction *= step;
    }
    if (std::abs(step - 1.0) < 1e-15) break;
  }
  return std::exp(log_front) * fraction;
}

double incomplete_beta(double a, double b, double x) {
  if (x <= 0.0) return 0.0;
  if (x >= 1.0) return 1.0;
  return x <= (a + 1.0) / (a + b + 2.0) ? incomplete_beta_below(a, b, x) : 1.0 - incomplete_beta_below(b, a, 1.0 - x);
}

}  // namespace

double student_t_two_sided(double t, double df) {
  if (std::isinf(t)) return 0.0;
  return incomplete_beta(0.5 * df, 0.5, df / (df + t * t));
}

double student_t_quantile(double p, double df) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (p <= 0.0) return -kInfinity;
  if (p >= 1.0) return kInfinity;
  if (p < 0.5) return -student_t_quantile(1.0 - p, df);
  if (p == 0.5) return 0.0;
  double lo = 0.0, hi = 1.0;
  while (0.5 * student_t_two_sided(hi, df) > 1.0 - p && hi < 1e300) hi *= 2.0;
  for (int i = 0; i < 200 && hi - lo > 1e-15 * hi; ++i) {
    const double middle = 0.5 * (lo + hi);
    (0.5 * student_t_two_sided(middle, df) > 1.0 - p ? lo : hi) = middle;
  }
  return 0.5 * (lo + hi);
}

}  // namespace lmbits
