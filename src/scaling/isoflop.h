// Compute-optimal sizes without a law of loss: Hoffmann et al. 2022 (arXiv:2203.15556), approaches 1 and 2.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/scaling/fit.h"
#include "src/scaling/points.h"

namespace lmbits {

// log X = log k + exponent log C.
struct PowerOfCompute {
  double log_k = 0.0, exponent = 0.0;
  std::optional<Interval> interval;  // of the exponent
  double at(double flops) const;
};

// One budget: the runs that cost about the same, and the parabola of their loss in log N.
struct IsoFlop {
  double flops = 0.0;                   // geometric mean of the runs
  std::vector<std::size_t> points;      // indices
  std::array<double, 3> parabola{};     // loss = c0 + c1 x + c2 x^2, x = log N
  double n = 0.0, d = 0.0, loss = 0.0;  // at the minimum; d by a parabola of its own, in log D
  std::string refused;                  // why there is no minimum to speak of; empty where there is
};

struct IsoFlopRequest {
  double tolerance = 0.25;           // a budget's runs cost at most this share more than its cheapest
  std::vector<double> budgets = {};  // FLOP; given: the runs within the tolerance of each, others are left out
  double level = 0.95;
  std::int64_t n_resamples = 1000;
  std::uint64_t seed = 1;
  int n_threads = 1;
};

// What a method finds on losses without noise, of a chinchilla law at the very same points.
struct ExponentBias {
  double true_exponent = 0.0, found_exponent = 0.0;
};

struct IsoFlops {
  std::vector<IsoFlop> budgets;  // by increasing compute
  PowerOfCompute n, d;
  std::size_t n_used = 0;
  std::optional<ExponentBias> bias;  // nullopt where no chinchilla law can be fitted
};

// Approach 2. A budget is refused with fewer than 4 sizes, a parabola that opens downwards, or a minimum outside of its
// sizes (then it is an extrapolation). N* and D* are each fitted as a power of C over the budgets left, by least squares
// of logarithms; intervals are percentiles over runs resampled within their budgets. Since D* has its own parabola the
// exponents need not add up to 1: how far they are from it says how well the budgets are kept.
// Throws Error(kData) where fewer than 2 budgets are left.
IsoFlops isoflop(const std::vector<ScalingPoint>& points, const IsoFlopRequest& request);

struct Curve {
  std::string name;
  double n = 0.0;
  std::vector<std::pair<double, double>> log_flops_and_loss;  // by increasing compute
};

struct EnvelopePoint {
  double flops, n, d, loss;
  std::size_t curve;
};

struct Envelope {
  std::vector<Curve> curves;
  std::vector<EnvelopePoint> points;  // the best loss at each compute, on a grid
  std::size_t n_winning = 0;          // curves that are best somewhere
  std::size_t n_fitted = 0;           // sizes among them but for the least and the largest of all
  PowerOfCompute n, d;
  std::optional<ExponentBias> bias;  // nullopt where no chinchilla law can be fitted
};

// Approach 1: the best loss of any training curve at each of `n_grid` values of compute, equally far in logarithm; losses
// between two points of a curve are interpolated in log C. Where a curve that has ended was better with less, and the
// longer ones are not there yet, the envelope has a gap. Exponents by least squares of log C in log N over the grid but for its ends, where
// the least or the largest size of all is best (a better one may lie outside: as they stand, they flatten the slope);
// intervals from resampled curves. Throws Error(kData) where fewer than 3 curves have 2 points each, or fewer than 2
// sizes are best somewhere between the ends.
Envelope envelope(const Points& points, int n_grid, const IsoFlopRequest& request);

}  // namespace lmbits
