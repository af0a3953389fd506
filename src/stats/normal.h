// The standard normal distribution.
#pragma once

namespace lmbits {

double normal_cdf(double z);

// The z with normal_cdf(z) == p, to about 1e-14; p in (0, 1), -inf and +inf at its ends.
double normal_quantile(double p);

}  // namespace lmbits
