#include "src/scaling/objective.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <numeric>
#include <optional>

#include "src/core/error.h"
#include "src/stats/linear.h"

namespace lmbits {
namespace {

constexpr double kSmallestDelta = 1e-9;
constexpr double kNoDelta = 1e300;

// Huber's function at one residual: value, slope, and the weight that iterated least squares gives it.
struct Loss {
  double value, slope, irls;
  bool inside;
};

Loss huber(double r, double delta) {
  const double a = std::abs(r);
  if (a <= delta) return {0.5 * r * r, r, 1.0, true};
  return {delta * (a - 0.5 * delta), r > 0.0 ? delta : -delta, delta / a, false};
}

// The objective at p with its gradient, Newton's matrix and the damping matrix.
struct Local {
  double value = 0.0;
  std::vector<double> gradient, hessian, damping;
};

// One stage of the minimiser: sum w_i h_delta(r_i), which for L1 is delta times what it tends to; pins are scaled alike.
struct Stage {
  double delta = kNoDelta, pin_factor = 1.0;
};

Loss loss_of(const Target& target, double r, const Stage& stage) {
  if (!target.is_pin) return huber(r, stage.delta);
  const double f = stage.pin_factor;
  return {0.5 * f * r * r, f * r, f, true};
}

Local local_model(const Residuals& law, std::span<const Target> targets, const Stage& stage, const Parameters& p) {
  const std::size_t m = law.n_parameters();
  Local local;
  local.gradient.assign(m, 0.0);
  local.hessian.assign(m * m, 0.0);
  local.damping.assign(m * m, 0.0);
  LogLoss at;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double w = targets[i].weight;
    if (w == 0.0) continue;
    law.evaluate(i, p, at);
    const Loss loss = loss_of(targets[i], at.value - targets[i].log_loss, stage);
    local.value += w * loss.value;
    for (std::size_t j = 0; j < m; ++j) {
      local.gradient[j] += w * loss.slope * at.gradient[j];
      const double of_j = w * at.gradient[j];
      for (std::size_t k = 0; k <= j; ++k) {
        const double product = of_j * at.gradient[k];
        local.hessian[j * m + k] += (loss.inside ? loss.irls * product : 0.0) + w * loss.slope * at.curvature[j][k];
        local.damping[j * m + k] += loss.irls * product;
      }
    }
  }
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t k = 0; k < j; ++k) {
      local.hessian[k * m + j] = local.hessian[j * m + k];
      local.damping[k * m + j] = local.damping[j * m + k];
    }
  }
  return local;
}

double stage_value(const Residuals& law, std::span<const Target> targets, const Stage& stage, const Parameters& p) {
  double sum = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].weight == 0.0) continue;
    sum += targets[i].weight * loss_of(targets[i], law.log_loss(i, p) - targets[i].log_loss, stage).value;
  }
  return sum;
}

double median_residual(const Residuals& law, std::span<const Target> targets, const Parameters& p) {
  std::vector<double> sizes;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].weight > 0.0 && !targets[i].is_pin)
      sizes.push_back(std::abs(law.log_loss(i, p) - targets[i].log_loss));
  }
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  return sizes.empty() ? 0.0 : *middle;
}

// Gradient components that push against a bound do not count, and their parameters do not move.
std::vector<bool> held_at_bounds(const Parameters& p, const std::vector<double>& gradient, const Bounds& bounds) {
  std::vector<bool> held(gradient.size());
  for (std::size_t j = 0; j < gradient.size(); ++j)
    held[j] = (p[j] <= bounds.lo[j] && gradient[j] > 0.0) || (p[j] >= bounds.hi[j] && gradient[j] < 0.0);
  return held;
}

std::optional<std::vector<double>> damped_step(const Local& local, const std::vector<bool>& held, double lambda) {
  const std::size_t m = local.gradient.size();
  std::vector<double> h(m * m), b(m);
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t k = 0; k < m; ++k) {
      const bool free = !held[j] && !held[k];
      h[j * m + k] = free ? local.hessian[j * m + k] + lambda * local.damping[j * m + k] : 0.0;
    }
    // What no point depends on stays where it is.
    if (held[j] || local.damping[j * m + j] <= 0.0)
      h[j * m + j] = 1.0;
    else
      h[j * m + j] += 1e-12 * local.damping[j * m + j];
    b[j] = held[j] ? 0.0 : -local.gradient[j];
  }
  return solve_positive_definite(h, b);
}

Minimum newton(const Residuals& law, std::span<const Target> targets, const Stage& stage, Parameters p,
               const Bounds& bounds, int max_steps) {
  const std::size_t m = law.n_parameters();
  Minimum result;
  double lambda = 1e-3;
  Local local = local_model(law, targets, stage, p);
  for (int step = 0; step < max_steps && !result.converged; ++step) {
    ++result.n_evaluations;
    const std::vector<bool> held = held_at_bounds(p, local.gradient, bounds);
    bool moved = false;
    for (; lambda < 1e12 && !moved; lambda *= moved ? 1.0 : 8.0) {
      const auto direction = damped_step(local, held, lambda);
      if (!direction) continue;
      Parameters next = p;
      double largest = 0.0;
      for (std::size_t j = 0; j < m; ++j) {
        next[j] = std::clamp(p[j] + (*direction)[j], bounds.lo[j], bounds.hi[j]);
        largest = std::max(largest, std::abs(next[j] - p[j]) / (1.0 + std::abs(p[j])));
      }
      const double value = stage_value(law, targets, stage, next);
      ++result.n_evaluations;
      if (largest < 1e-13) {
        result.converged = true;
        break;
      }
      if (!(value < local.value)) continue;
      result.converged = local.value - value <= 1e-13 * local.value && lambda < 1.0;
      p = next;
      moved = true;
    }
    if (!moved) {
      result.converged = true;  // no direction leads down any more: rounding is all that is left
      break;
    }
    lambda = std::max(lambda * 0.05, 1e-14);
    local = local_model(law, targets, stage, p);
  }
  result.p = p;
  result.value = local.value;
  return result;
}

// ---- L-BFGS ----

struct Slope {
  double value = 0.0;
  std::vector<double> gradient;
};

Slope slope_at(const Residuals& law, std::span<const Target> targets, const Objective& objective,
               const std::vector<double>& x) {
  Parameters p{};
  std::copy(x.begin(), x.end(), p.begin());
  Slope result{0.0, std::vector<double>(x.size(), 0.0)};
  LogLoss at;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double w = targets[i].weight;
    if (w == 0.0) continue;
    law.evaluate(i, p, at);
    const double r = at.value - targets[i].log_loss;
    result.value += w * objective.of(r);
    const double sign = r > 0.0 ? 1.0 : r < 0.0 ? -1.0 : 0.0;
    const double slope = objective.kind == ObjectiveKind::kHuber          ? huber(r, objective.delta).slope
                         : objective.kind == ObjectiveKind::kLeastSquares ? 2.0 * r
                                                                          : sign;
    for (std::size_t j = 0; j < x.size(); ++j) result.gradient[j] += w * slope * at.gradient[j];
  }
  return result;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

std::vector<double> along(const std::vector<double>& x, double t, const std::vector<double>& d) {
  std::vector<double> moved = x;
  for (std::size_t j = 0; j < x.size(); ++j) moved[j] += t * d[j];
  return moved;
}

struct Pair {
  std::vector<double> s, y;
  double rho;
};

// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
std::vector<double> lbfgs_direction(const std::deque<Pair>& pairs, std::vector<double> q) {
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].rho * dot(pairs[i].s, q);
    q = along(q, -alpha[i], pairs[i].y);
  }
  if (!pairs.empty()) {
    const double scale = 1.0 / (pairs.back().rho * dot(pairs.back().y, pairs.back().y));
    for (double& v : q) v *= scale;
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) q = along(q, alpha[i] - pairs[i].rho * dot(pairs[i].y, q), pairs[i].s);
  for (double& v : q) v = -v;
  return q;
}

}  // namespace

double Objective::of(double residual) const {
  switch (kind) {
    case ObjectiveKind::kHuber:
      return huber(residual, delta).value;
    case ObjectiveKind::kL1:
      return std::abs(residual);
    case ObjectiveKind::kLeastSquares:
      return residual * residual;
  }
  return 0.0;
}

std::string name_of(const Objective& objective) {
  if (objective.kind == ObjectiveKind::kL1) return "sum of |log-loss residual| (L1)";
  if (objective.kind == ObjectiveKind::kLeastSquares) return "sum of squared log-loss residuals";
  char text[80];
  std::snprintf(text, sizeof text, "sum of Huber(%g) of log-loss residuals", objective.delta);
  return text;
}

double objective_value(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                       const Parameters& p) {
  double sum = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].weight == 0.0) continue;
    const double r = law.log_loss(i, p) - targets[i].log_loss;
    sum += targets[i].weight * (targets[i].is_pin ? 0.5 * r * r : objective.of(r));
  }
  return sum;
}

Minimum minimise_newton(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                        const Parameters& start, const Bounds& bounds) {
  Minimum result;
  result.p = start;
  int n_evaluations = 0;
  if (objective.kind == ObjectiveKind::kLeastSquares) {
    result = newton(law, targets, {kNoDelta, 0.5}, start, bounds, 200);
  } else {
    const double target = objective.kind == ObjectiveKind::kL1 ? kSmallestDelta : objective.delta;
    for (double delta = std::max(target, median_residual(law, targets, start));;
         delta = std::max(target, 0.2 * delta)) {
      const Stage stage{delta, objective.kind == ObjectiveKind::kL1 ? delta : 1.0};
      result = newton(law, targets, stage, result.p, bounds, delta > target ? 6 : 200);
      n_evaluations += result.n_evaluations;
      if (delta <= target) break;
    }
    result.n_evaluations = n_evaluations;
  }
  result.value = objective_value(law, targets, objective, result.p);
  return result;
}

Minimum minimise_lbfgs(const Residuals& law, std::span<const Target> targets, const Objective& objective,
                       const Parameters& start) {
  constexpr std::size_t kPairs = 10;
  constexpr int kMaxSteps = 10000;
  std::vector<double> x(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(law.n_parameters()));
  Slope here = slope_at(law, targets, objective, x);
  std::deque<Pair> pairs;
  Minimum result;
  for (int step = 0; step < kMaxSteps && !result.converged; ++step) {
    std::vector<double> d = lbfgs_direction(pairs, here.gradient);
    double downhill = dot(d, here.gradient);
    if (!(downhill < 0.0)) {
      pairs.clear();
      d = along(std::vector<double>(x.size(), 0.0), -1.0, here.gradient);
      downhill = dot(d, here.gradient);
    }
    // Bisection for the Wolfe conditions, doubling while nothing bounds the step from above.
    double t = pairs.empty() ? std::min(1.0, 1.0 / std::sqrt(-downhill)) : 1.0, lo = 0.0, hi = 0.0;
    Slope next;
    bool found = false;
    for (int trial = 0; trial < 50 && !found; ++trial) {
      next = slope_at(law, targets, objective, along(x, t, d));
      ++result.n_evaluations;
      if (!(next.value <= here.value + 1e-4 * t * downhill))
        hi = t;
      else if (dot(next.gradient, d) < 0.9 * downhill)
        lo = t;
      else
        found = true;
      if (!found) t = hi > 0.0 ? 0.5 * (lo + hi) : 2.0 * t;
    }
    if (!(next.value < here.value)) break;  // rounding, or a kink
    const std::vector<double> moved = along(x, t, d);
    Pair pair{along(moved, -1.0, x), along(next.gradient, -1.0, here.gradient), 0.0};
    const double curvature = dot(pair.s, pair.y);
    result.converged = here.value - next.value <= 1e-15 * std::max(std::abs(here.value), 1.0);
    x = moved;
    here = std::move(next);
    if (curvature > 0.0) {
      pair.rho = 1.0 / curvature;
      pairs.push_back(std::move(pair));
      if (pairs.size() > kPairs) pairs.pop_front();
    }
  }
  std::copy(x.begin(), x.end(), result.p.begin());
  result.value = here.value;
  return result;
}

}  // namespace lmbits
