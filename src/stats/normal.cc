#include "src/stats/normal.h"

#include <cmath>
#include <limits>

namespace lmbits {

double normal_cdf(double z) { return 0.5 * std::erfc(-z * 0.70710678118654752); }

double normal_quantile(double p) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (p <= 0.0) return -kInfinity;
  if (p >= 1.0) return kInfinity;
  if (p > 0.5) return -normal_quantile(1.0 - p);  // erfc keeps its relative precision in the lower tail only
  double lo = -39.0, hi = 0.0;                    // normal_cdf(-39) underflows to 0
  for (int i = 0; i < 64; ++i) {
    const double middle = 0.5 * (lo + hi);
    (normal_cdf(middle) < p ? lo : hi) = middle;
  }
  return 0.5 * (lo + hi);
}

}  // namespace lmbits
