// A scaling law fitted to trained models, and how sure its parameters and predictions are.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/scaling/law.h"
#include "src/stats/bootstrap.h"

namespace lmbits {

enum class Optimiser {
  kProjection,     // every start of Law::starts, the best of them refined by Newton's method
  kPublishedGrid,  // L-BFGS from every start of Law::published_starts
};

struct FitRequest {
  Objective objective;
  Constraints constraints = {};  // none: the law's own
  Optimiser optimiser = Optimiser::kProjection;
  int n_refined = 6;  // starts that Newton's method refines
  int n_threads = 1;
};

// A linear dependence among what the points say of the parameters.
struct Identifiability {
  double condition = 0.0;  // of the Jacobian of log L, see identifiability()
  bool identified = true;
  std::string message;  // empty where identified
};

struct Fit {
  std::shared_ptr<const Law> law;
  FitRequest request;
  Parameters p{};
  double objective = 0.0;
  double rms = 0.0, r_squared = 0.0,
         bias = 0.0;  // log-loss residuals' root mean square and mean; R^2 of the losses themselves
  std::size_t n = 0, n_free = 0;
  std::string starts;  // in words, with how many
  std::size_t n_starts = 0, n_ended = 0,
              n_agreeing = 0;    // starts, those followed to an end, ends within 1e-6 of the best
  std::vector<Parameters> ends;  // distinct local minima within a tenth of the best, best first
  Identifiability identifiability;

  double predict(const ScalingPoint& point) const;  // the loss
};

// Fits `law` to the points. Throws Error(kData) for fewer points than free parameters + 1, for a point that lacks one of
// the law's variables, has a weight or a loss that is no positive number, and where all points share one value of a
// variable whose exponent is free (named, with the remedy); Error(kUsage) where the constraints leave nothing free.
Fit fit_law(std::shared_ptr<const Law> law, const std::vector<ScalingPoint>& points, const FitRequest& request);

// `fit` again with other weights, from its own local minima.
Parameters refit(const Fit& fit, const std::vector<ScalingPoint>& points, const std::vector<double>& weights);

// The condition number of d log L_i / d p_j, columns scaled to length 1, an exponent's column taken orthogonal to that of
// its own coefficient (else it would measure how far the units are from the data). Above 1e3 some combination of the
// parameters moves no prediction at these points by as much as a thousandth of what each alone does, and the parameters
// of the weakest direction are named.
Identifiability identifiability(const Fit& fit, const std::vector<ScalingPoint>& points);

// Anything computed from the parameters: one of them, a prediction, N*.
using Quantity = std::function<double(const Parameters&)>;

// Refits on resampled points (pairs bootstrap: points drawn with replacement, Efron & Tibshirani 1993, chapter 9) and
// with each point left out. An L1 minimum goes through as many points as it has parameters and so jumps from point to
// point: its resampled distribution is lumpy, too wide in its percentiles, and BCa's corrections read its lumps (measured
// coverage of nominal 95 %: 98 and 91.5). L1's refits are therefore of Huber's function with delta = 0.15 standard
// deviations of the residuals, from their median, about its own minimum (smoothing: Horowitz 1998, doi:10.2307/2999619).
struct Refits {
  std::vector<Parameters> resampled, left_out;
  std::optional<Parameters> centre = {};  // what they scatter about; nullopt: the estimate itself
};
Refits bootstrap_fits(const Fit& fit, const std::vector<ScalingPoint>& points, std::int64_t n_resamples,
                      std::uint64_t seed, int n_threads);

// The draws of a bootstrap written in Python: n_resamples times `numpy.random.choice(n, n)` after
// `numpy.random.seed(seed)`. That is NumPy's legacy generator, which it keeps as it is: the Mersenne Twister's numbers,
// masked to the bits of n - 1, those above n - 1 passed over. n >= 2.
std::vector<std::vector<std::uint32_t>> numpy_draws(std::size_t n, std::int64_t n_resamples, std::uint32_t seed);

// bootstrap_fits on those draws, the points counted in their order.
Refits numpy_bootstrap_fits(const Fit& fit, const std::vector<ScalingPoint>& points, std::int64_t n_resamples,
                            std::uint32_t seed, int n_threads);

enum class FitInterval { kPercentile, kBca, kProfile };
std::string name_of(FitInterval kind);

std::optional<Interval> bootstrap_interval(const Refits& refits, const Fit& fit, const Quantity& quantity, double level,
                                           IntervalMethod method);
// nullopt where a refit gives no finite number.
std::optional<double> bootstrap_se(const Refits& refits, const Quantity& quantity);

// Profile likelihood. The objective's rise that a 1 - level test of a parameter allows is
//   least squares:  F_min t^2 / (n - k), t the Student quantile of n - k degrees of freedom
//   Huber, L1:      t^2 / 2 E[w^2 psi^2] / E[w psi'] n / (n - k), psi the slope of the objective's function
// (Heritier & Ronchetti 1994, doi:10.1080/01621459.1994.10476822), E[w psi'] from the density of the residuals near 0,
// n the points of weight above 0.
// nullopt where the parameter is held. An end is infinite where the objective never rises that far.
std::optional<Interval> profile_interval(const Fit& fit, const std::vector<ScalingPoint>& points, std::size_t parameter,
                                         double level);
// The same for the loss at a point.
std::optional<Interval> profile_prediction(const Fit& fit, const std::vector<ScalingPoint>& points,
                                           const ScalingPoint& at, double level);

// Fits the points below a cut-off in compute (C, else 6 N D) and predicts those above.
struct HoldOut {
  double cutoff_flops = 0.0;
  std::size_t n_below = 0, n_above = 0;
  double rms = 0.0, bias = 0.0, worst = 0.0;  // of log(predicted / seen) above; bias > 0: predicted too high
  Parameters p{};
};
// cutoff 0: the 80 % quantile. Throws Error(kData) where a point has no compute, too few points are below, or none above.
HoldOut hold_out(const Fit& fit, const std::vector<ScalingPoint>& points, double cutoff_flops);
double flops_of(const ScalingPoint& point);  // C, else 6 N D; NaN where neither is known

}  // namespace lmbits
