// Student's t distribution.
#pragma once

namespace lmbits {

// P(|T| >= |t|) with `df` > 0 degrees of freedom, to a relative 1e-12: the regularised incomplete beta function
// I_x(df / 2, 1 / 2) at x = df / (df + t^2), by its continued fraction (DLMF 8.17.22).
double student_t_two_sided(double t, double df);

// The t with P(T <= t) == p; p in (0, 1), -inf and +inf at its ends.
double student_t_quantile(double p, double df);

}  // namespace lmbits
