// What a fit of a scaling law minimises, and the minimiser.
//
// With residuals r_i = log L(x_i; p) - log L_i and weights w_i the objective is the SUM over the points
//   Huber:          sum w_i h(r_i),  h(r) = r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2)   (Huber 1964)
//   L1:             sum w_i |r_i|
//   least squares:  sum w_i r_i^2
// A mean instead of the sum moves no optimum, but it makes optimisers stop early: Hoffmann et al. 2022's fit did
// (Besiroglu et al. 2024, arXiv:2404.10102, section 3).
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace lmbits {

enum class ObjectiveKind { kHuber, kL1, kLeastSquares };

struct Objective {
  ObjectiveKind kind = ObjectiveKind::kHuber;
  double delta = 1e-3;  // of Huber alone
  double of(double residual) const;
};
std::string name_of(const Objective& objective);  // "sum of Huber(0.001) of log-loss residuals"

inline constexpr std::size_t kMaxParameters = 10;
using Parameters = std::array<double, kMaxParameters>;

// log L at one point, with its gradient and second derivatives in the parameters.
struct LogLoss {
  double value = 0.0;
  Parameters gradient{};
  std::array<Parameters, kMaxParameters> curvature{};  // lower triangle; may leave out what only speeds up convergence
};

// One point of the objective: log L_i is `log_loss`, w_i `weight`.
struct Target {
  double log_loss = 0.0;
  double weight = 1.0;
  bool is_pin = false;  // a value to be held near: counts weight r^2 / 2 under every objective
};

// A law on fixed points, as the minimiser sees it.
class Residuals {
 public:
  virtual ~Residuals() = default;
  virtual std::size_t n_parameters() const = 0;
  virtual double log_loss(std::size_t point, const Parameters& p) const = 0;
  virtual void evaluate(std::size_t point, const Parameters& p, LogLoss& result) const = 0;
};

struct Bounds {
  Parameters lo{}, hi{};
};

struct Minimum {
  Parameters p{};
  double value = 0.0;
  int n_evaluations = 0;
  bool converged = false;
};

double objective_value(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                       const Parameters& p);

// A local minimum from `start` within `bounds`, by Newton's method, damped by lambda J' W J with W the weights of iterated
// least squares: unlike Levenberg's and Marquardt's damping it does not care how the parameters are scaled or
// correlated. Huber's and the L1 objective have no useful second derivative far from their kinks, so the minimiser
// follows Huber(d) for d from the size of the residuals down to delta; L1 is its limit, with d down to 1e-9.
Minimum minimise_newton(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                        const Parameters& start, const Bounds& bounds);

// The published procedure's optimiser: limited-memory BFGS with 10 pairs (Nocedal 1980, doi:10.1090/S0025-5718-1980-0572855-7)
// and a line search for the (weak) Wolfe conditions; no bounds.
Minimum minimise_lbfgs(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                       const Parameters& start);

}  // namespace lmbits
