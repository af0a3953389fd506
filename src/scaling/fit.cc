#include "src/scaling/fit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/stats/linear.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

// The points as the minimiser sees them, with the free parameters alone. The constraints are resolved ones.
class Problem final : public Residuals {
 public:
  Problem(const Law& law, const Constraints& constraints, const std::vector<ScalingPoint>& points)
      : law_(law), constraints_(constraints), all_(law.parameters()) {
    for (std::size_t j = 0; j < constraints_.size(); ++j) {
      if (constraints_[j].fixed || constraints_[j].tied_to) continue;
      bounds_.lo[free_.size()] = all_[j].lo;
      bounds_.hi[free_.size()] = all_[j].hi;
      for (std::size_t k = j + 1; k < constraints_.size(); ++k) {
        if (constraints_[k].tied_to != j) continue;
        bounds_.lo[free_.size()] = std::max(bounds_.lo[free_.size()], all_[k].lo);
        bounds_.hi[free_.size()] = std::min(bounds_.hi[free_.size()], all_[k].hi);
      }
      free_.push_back(j);
    }
    is_plain_ = free_.size() == all_.size();
    for (const ScalingPoint& point : points) {
      x_.push_back(observe(point));
      targets_.push_back({std::log(point.loss), point.weight});
    }
  }

  std::size_t n_parameters() const override { return free_.size(); }
  double log_loss(std::size_t point, const Parameters& q) const override {
    return law_.log_loss(is_plain_ ? q : expand(q), x_[point]);
  }
  void evaluate(std::size_t point, const Parameters& q, LogLoss& result) const override {
    if (is_plain_) return law_.evaluate(q, x_[point], result);
    LogLoss full;
    law_.evaluate(expand(q), x_[point], full);
    result.value = full.value;
    result.gradient = {};
    result.curvature = {};
    std::array<std::size_t, kMaxParameters> place{};
    for (std::size_t k = 0; k < free_.size(); ++k) place[free_[k]] = k;
    for (std::size_t j = 0; j < all_.size(); ++j) {
      if (constraints_[j].fixed) continue;
      const std::size_t a = place[constraints_[j].tied_to.value_or(j)];
      result.gradient[a] += full.gradient[j];
      for (std::size_t l = 0; l <= j; ++l) {
        if (constraints_[l].fixed) continue;
        const std::size_t b = place[constraints_[l].tied_to.value_or(l)];
        result.curvature[std::max(a, b)][std::min(a, b)] += (a == b && j != l ? 2.0 : 1.0) * full.curvature[j][l];
      }
    }
  }

  Parameters expand(const Parameters& q) const {
    Parameters p{};
    for (std::size_t k = 0; k < free_.size(); ++k) p[free_[k]] = q[k];
    return constrained(constraints_, p);
  }
  Parameters reduce(const Parameters& p) const {
    Parameters q{};
    for (std::size_t k = 0; k < free_.size(); ++k) q[k] = std::clamp(p[free_[k]], bounds_.lo[k], bounds_.hi[k]);
    return q;
  }

  const std::vector<std::size_t>& free_parameters() const { return free_; }
  bool is_free(std::size_t parameter) const { return std::find(free_.begin(), free_.end(), parameter) != free_.end(); }
  const std::vector<Observation>& observations() const { return x_; }
  std::vector<Target>& targets() { return targets_; }
  const std::vector<Target>& targets() const { return targets_; }
  const Bounds& bounds() const { return bounds_; }
  void add_pin(const ScalingPoint& at) {
    x_.push_back(observe(at));
    targets_.push_back({0.0, 0.0, true});
  }

 private:
  const Law& law_;
  Constraints constraints_;
  std::vector<LawParameter> all_;
  std::vector<std::size_t> free_;
  std::vector<Observation> x_;
  std::vector<Target> targets_;
  Bounds bounds_;
  bool is_plain_ = false;
};

// ---- checks ----

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

void check_point(const Law& law, const ScalingPoint& point) {
  if (!(point.loss > 0.0) || !std::isfinite(point.loss))
    throw Error(ErrorKind::kData, point.label + ": the loss is " + number(point.loss) + ", not a positive number",
                "remove the row, or leave it out with --exclude");
  if (!(point.weight >= 0.0) || !std::isfinite(point.weight))
    throw Error(ErrorKind::kData, point.label + ": the weight is " + number(point.weight), "weights are 0 or more");
  for (const Variable variable : law.variables()) {
    const auto& value = point.at(variable);
    if (!value)
      throw Error(ErrorKind::kData, point.label + ": no " + symbol_of(variable) + ", which " + law.name() + " needs",
                  "name the column that holds it with --column " + symbol_of(variable) + "=NAME");
    if (!(*value > 0.0) || !std::isfinite(*value))
      throw Error(ErrorKind::kData,
                  point.label + ": " + symbol_of(variable) + " is " + number(*value) + ", not a positive number",
                  "remove the row, or leave it out with --exclude");
  }
}

// A variable's slope is free and the variable never changes: nothing can tell its term from E.
void check_variation(const Law& law, const Problem& problem, const std::vector<ScalingPoint>& points) {
  const std::vector<LawParameter> parameters = law.parameters();
  for (const Dependence& dependence : law.dependences()) {
    std::set<double> values;
    for (const ScalingPoint& point : points) {
      if (point.weight > 0.0) values.insert(*point.at(dependence.variable));
    }
    if (values.size() > 1 || !problem.is_free(dependence.slope)) continue;
    const std::string symbol = symbol_of(dependence.variable);
    throw Error(ErrorKind::kData,
                "all points have " + symbol + " = " + number(*values.begin()) +
                    ": nothing can be learnt of how the loss depends on it",
                "add points with another " + symbol + ", or give " + parameters[dependence.slope].name + ": --fix " +
                    parameters[dependence.slope].name + "=VALUE");
  }
}

void check_points(const Law& law, const Problem& problem, const std::vector<ScalingPoint>& points) {
  if (problem.n_parameters() == 0)
    throw Error(ErrorKind::kUsage, "all parameters of " + law.name() + " are given: nothing is left to fit",
                "leave one of them free, or ask what the law says with lmbits scaling predict");
  for (const ScalingPoint& point : points) check_point(law, point);
  const std::size_t n_used = static_cast<std::size_t>(
      std::count_if(points.begin(), points.end(), [](const auto& p) { return p.weight > 0.0; }));
  if (n_used < problem.n_parameters() + 1)
    throw Error(
        ErrorKind::kData,
        law.name() + " has " + std::to_string(problem.n_parameters()) + " free parameters, and there are " +
            std::to_string(n_used) + " points",
        "give at least " + std::to_string(problem.n_parameters() + 1) + " points, or hold parameters with --fix");
  check_variation(law, problem, points);
}

// ---- the search ----

bool is_close(const Parameters& a, const Parameters& b, std::size_t m, double share) {
  for (std::size_t j = 0; j < m; ++j) {
    if (std::abs(a[j] - b[j]) > share * (0.1 + std::abs(a[j]))) return false;
  }
  return true;
}

// The best starts, no two of them near each other.
std::vector<Parameters> best_starts(const Problem& problem, const Objective& objective,
                                    const std::vector<Parameters>& starts, std::size_t n) {
  std::vector<std::pair<double, std::size_t>> ranked;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const double value = objective_value(problem, problem.targets(), objective, problem.reduce(starts[i]));
    if (std::isfinite(value)) ranked.emplace_back(value, i);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<Parameters> best;
  for (const auto& [value, i] : ranked) {
    const Parameters q = problem.reduce(starts[i]);
    const bool is_new = std::none_of(best.begin(), best.end(),
                                     [&](const Parameters& b) { return is_close(b, q, problem.n_parameters(), 0.2); });
    if (is_new) best.push_back(q);
    if (best.size() == n) break;
  }
  return best;
}

std::vector<Minimum> search(const Problem& problem, const Law& law, const Constraints& constraints,
                            const FitRequest& request, Fit& fit) {
  const bool published = request.optimiser == Optimiser::kPublishedGrid;
  std::vector<Parameters> starts =
      published ? law.published_starts() : law.starts(problem.observations(), problem.targets(), constraints);
  if (starts.empty())
    throw Error(ErrorKind::kUsage, "no grid of starts was published for " + law.name(), "leave out --optimiser");
  fit.n_starts = starts.size();
  fit.starts =
      published ? "e in -1..1 by 0.5; a, b in 0..25 by 5; alpha, beta in 0..2 by 0.5" : law.start_grid(constraints);
  if (published) {
    for (Parameters& p : starts) p = problem.reduce(p);
  } else {
    starts = best_starts(problem, request.objective, starts, static_cast<std::size_t>(request.n_refined));
  }
  std::vector<Minimum> ends(starts.size());
  parallel_for(std::ssize(starts), request.n_threads, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    ends[at] = published ? minimise_lbfgs(problem, problem.targets(), request.objective, starts[at])
                         : minimise_newton(problem, problem.targets(), request.objective, starts[at], problem.bounds());
  });
  std::erase_if(ends, [](const Minimum& m) { return !std::isfinite(m.value); });
  LMBITS_CHECK(!ends.empty());
  std::stable_sort(ends.begin(), ends.end(), [](const Minimum& a, const Minimum& b) { return a.value < b.value; });
  return ends;
}

void describe_residuals(const Problem& problem, Fit& fit) {
  double weights = 0.0, squares = 0.0, sum = 0.0, mean = 0.0, left = 0.0, total = 0.0;
  const auto& targets = problem.targets();
  for (const Target& t : targets) {
    weights += t.weight;
    mean += t.weight * std::exp(t.log_loss);
  }
  mean /= weights;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double predicted = fit.law->log_loss(fit.p, problem.observations()[i]), r = predicted - targets[i].log_loss;
    const double loss = std::exp(targets[i].log_loss), w = targets[i].weight;
    squares += w * r * r;
    sum += w * r;
    left += w * (std::exp(predicted) - loss) * (std::exp(predicted) - loss);
    total += w * (loss - mean) * (loss - mean);
  }
  fit.rms = std::sqrt(squares / weights);
  fit.bias = sum / weights;
  fit.r_squared = 1.0 - left / total;
}

}  // namespace

double Fit::predict(const ScalingPoint& point) const { return std::exp(law->log_loss(p, observe(point))); }

Fit fit_law(std::shared_ptr<const Law> law, const std::vector<ScalingPoint>& points, const FitRequest& request) {
  Fit fit;
  fit.request = request;
  if (fit.request.constraints.empty()) fit.request.constraints = law->default_constraints();
  fit.request.constraints = resolved(*law, fit.request.constraints);
  const Constraints& constraints = fit.request.constraints;
  Problem problem(*law, constraints, points);
  check_points(*law, problem, points);
  fit.law = law;
  fit.n = points.size();
  fit.n_free = problem.n_parameters();
  const std::vector<Minimum> ends = search(problem, *law, constraints, request, fit);
  fit.n_ended = ends.size();
  fit.p = problem.expand(ends[0].p);
  fit.objective = ends[0].value;
  for (const Minimum& end : ends) {
    if (end.value <= fit.objective * (1.0 + 1e-6)) ++fit.n_agreeing;
    const Parameters p = problem.expand(end.p);
    const bool is_new = std::none_of(fit.ends.begin(), fit.ends.end(),
                                     [&](const Parameters& e) { return is_close(e, p, kMaxParameters, 0.02); });
    if (is_new && end.value <= 1.1 * fit.objective && fit.ends.size() < 3) fit.ends.push_back(p);
  }
  describe_residuals(problem, fit);
  fit.identifiability = identifiability(fit, points);
  return fit;
}

namespace {

Parameters refit(const Fit& fit, Problem& problem, const std::vector<double>& weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) problem.targets()[i].weight = weights[i];
  Minimum best;
  best.value = std::numeric_limits<double>::infinity();
  for (const Parameters& end : fit.ends) {
    const Minimum m =
        minimise_newton(problem, problem.targets(), fit.request.objective, problem.reduce(end), problem.bounds());
    if (m.value < best.value) best = m;
  }
  return problem.expand(best.p);
}

}  // namespace

Parameters refit(const Fit& fit, const std::vector<ScalingPoint>& points, const std::vector<double>& weights) {
  Problem problem(*fit.law, fit.request.constraints, points);
  return refit(fit, problem, weights);
}

// ---- identifiability ----

namespace {

void remove_component(std::vector<double>& from, const std::vector<double>& along) {
  const double aa = std::inner_product(along.begin(), along.end(), along.begin(), 0.0);
  const double ab = std::inner_product(along.begin(), along.end(), from.begin(), 0.0);
  if (aa > 0.0)
    for (std::size_t i = 0; i < from.size(); ++i) from[i] -= ab / aa * along[i];
}

// The parameter whose unit a slope scales: an exponent's own coefficient.
std::optional<std::size_t> level_of(const Law& law, std::size_t slope) {
  for (const Dependence& dependence : law.dependences()) {
    if (dependence.slope == slope) return dependence.level;
  }
  return std::nullopt;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return text;
}

}  // namespace

Identifiability identifiability(const Fit& fit, const std::vector<ScalingPoint>& points) {
  Problem problem(*fit.law, fit.request.constraints, points);
  const std::vector<std::size_t>& free = problem.free_parameters();
  Columns jacobian(free.size(), std::vector<double>(points.size()));
  const Parameters q = problem.reduce(fit.p);
  LogLoss at;
  for (std::size_t i = 0; i < points.size(); ++i) {
    problem.evaluate(i, q, at);
    for (std::size_t k = 0; k < free.size(); ++k) jacobian[k][i] = std::sqrt(points[i].weight) * at.gradient[k];
  }
  const auto parameters = fit.law->parameters();
  Identifiability result;
  const Columns plain = jacobian;
  for (std::size_t k = 0; k < free.size(); ++k) {
    const auto own = level_of(*fit.law, free[k]);
    const auto found = own ? std::find(free.begin(), free.end(), *own) : free.end();
    if (found != free.end()) remove_component(jacobian[k], plain[static_cast<std::size_t>(found - free.begin())]);
  }
  for (std::size_t k = 0; k < free.size(); ++k) {
    std::vector<double>& column = jacobian[k];
    const double length = std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
    const double before = std::sqrt(std::inner_product(plain[k].begin(), plain[k].end(), plain[k].begin(), 0.0));
    if (!(length > 1e-9 * before) || !(before > 1e-9)) {
      result = {std::numeric_limits<double>::infinity(), false,
                "nothing in these points depends on " + parameters[free[k]].name};
      return result;
    }
    for (double& v : column) v /= length;
  }
  const Svd decomposition = svd(jacobian);
  result.condition = decomposition.values.front() / decomposition.values.back();
  if (result.condition <= 1e3) return result;
  result.identified = false;
  std::vector<std::string> names;  // a term that is in the direction is named by its exponent
  for (std::size_t k = 0; k < free.size(); ++k) {
    if (std::abs(decomposition.right.back()[k]) < 0.2) continue;
    std::string name = parameters[free[k]].name;
    for (std::size_t j = 0; j < parameters.size(); ++j) {
      if (parameters[free[k]].is_log && level_of(*fit.law, j) == free[k]) name = parameters[j].name;
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  result.message =
      listed(names) + " cannot be told apart by this grid: moving them together hardly changes a loss in it";
  return result;
}

// ---- bootstrap ----

namespace {

constexpr double kNormalQuartile = 0.6745;  // median of |r| of normal residuals, in standard deviations

struct Weighted {
  double size, weight;  // |r|, w
};

// E[w psi'] of the Huber or L1 objective, from the density of the residuals near 0. `of` has the points that count.
double mean_slope(const Objective& objective, std::vector<Weighted> of, std::size_t n_free) {
  std::sort(of.begin(), of.end(), [](const Weighted& a, const Weighted& b) { return a.size < b.size; });
  const bool is_l1 = objective.kind == ObjectiveKind::kL1;
  const auto n = static_cast<double>(of.size());
  const double scale = of[of.size() / 2].size / kNormalQuartile;
  const double width = std::max(1.2 * scale * std::pow(n, -0.2), is_l1 ? 0.0 : objective.delta);
  // The residuals that an L1 fit makes 0, one a free parameter, are left out: they are 0 by construction.
  double inside = 0.0, all = 0.0;
  for (std::size_t i = 0; i < of.size(); ++i) {
    all += of[i].weight;
    if (of[i].size <= width && (!is_l1 || i >= n_free)) inside += of[i].weight;
  }
  const double share = std::max(inside, all / n) / n;  // at least one point of mean weight
  return is_l1 ? share / width : share * std::min(1.0, objective.delta / width);
}

// The points that count: |r| and w at the fit.
std::vector<Weighted> residuals_of(const Fit& fit, const Problem& problem) {
  std::vector<Weighted> used;
  for (std::size_t i = 0; i < fit.n; ++i) {
    const Target& target = problem.targets()[i];
    if (!(target.weight > 0.0)) continue;
    used.push_back({std::abs(fit.law->log_loss(fit.p, problem.observations()[i]) - target.log_loss), target.weight});
  }
  return used;
}

// The fit whose refits tell how sure `fit` is: itself, or of L1 the one whose kinks are rounded; see Refits.
Fit smoothed(const Fit& fit, const std::vector<ScalingPoint>& points) {
  if (fit.request.objective.kind != ObjectiveKind::kL1) return fit;
  Problem problem(*fit.law, fit.request.constraints, points);
  std::vector<double> sizes, weights;
  for (const Weighted& residual : residuals_of(fit, problem)) sizes.push_back(residual.size);
  for (const ScalingPoint& point : points) weights.push_back(point.weight);
  std::nth_element(sizes.begin(), sizes.begin() + std::ssize(sizes) / 2, sizes.end());
  Fit smooth = fit;
  smooth.request.objective = {ObjectiveKind::kHuber, std::max(0.15 * sizes[sizes.size() / 2] / kNormalQuartile, 1e-12)};
  smooth.p = refit(smooth, problem, weights);
  smooth.ends.insert(smooth.ends.begin(), smooth.p);
  return smooth;
}

// draw(b) adds the points of resample b to the weights; called from several threads.
Refits refits_of(const Fit& of, const std::vector<ScalingPoint>& points, std::int64_t n_resamples, int n_threads,
                 const std::function<void(std::int64_t, std::vector<double>&)>& draw) {
  const Fit fit = smoothed(of, points);
  constexpr std::int64_t kPerTask = 16;
  const std::size_t n = points.size();
  Refits refits;
  refits.centre = fit.p;
  refits.resampled.resize(static_cast<std::size_t>(n_resamples));
  refits.left_out.resize(n);
  const std::int64_t n_all = n_resamples + static_cast<std::int64_t>(n);
  parallel_for((n_all + kPerTask - 1) / kPerTask, n_threads, [&](std::int64_t task) {
    Problem problem(*fit.law, fit.request.constraints, points);
    std::vector<double> weights(n);
    for (std::int64_t b = task * kPerTask; b < std::min(n_all, (task + 1) * kPerTask); ++b) {
      if (b < n_resamples) {
        std::fill(weights.begin(), weights.end(), 0.0);
        draw(b, weights);
        refits.resampled[static_cast<std::size_t>(b)] = refit(fit, problem, weights);
      } else {
        const auto out = static_cast<std::size_t>(b - n_resamples);
        for (std::size_t i = 0; i < n; ++i) weights[i] = i == out ? 0.0 : points[i].weight;
        refits.left_out[out] = refit(fit, problem, weights);
      }
    }
  });
  return refits;
}

}  // namespace

Refits bootstrap_fits(const Fit& fit, const std::vector<ScalingPoint>& points, std::int64_t n_resamples,
                      std::uint64_t seed, int n_threads) {
  const auto n = static_cast<std::uint32_t>(points.size());
  return refits_of(fit, points, n_resamples, n_threads, [&](std::int64_t b, std::vector<double>& weights) {
    Random random(seed, static_cast<std::uint64_t>(b));
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t drawn = random.below(n);
      weights[drawn] += points[drawn].weight;
    }
  });
}

std::vector<std::vector<std::uint32_t>> numpy_draws(std::size_t n, std::int64_t n_resamples, std::uint32_t seed) {
  std::mt19937 twister(seed);
  const auto largest = static_cast<std::uint32_t>(n - 1);
  const std::uint32_t mask = std::bit_ceil(largest + 1) - 1;
  std::vector<std::vector<std::uint32_t>> draws(static_cast<std::size_t>(n_resamples));
  for (auto& drawn : draws) {
    while (drawn.size() < n) {
      const auto number = static_cast<std::uint32_t>(twister()) & mask;
      if (number <= largest) drawn.push_back(number);
    }
  }
  return draws;
}

Refits numpy_bootstrap_fits(const Fit& fit, const std::vector<ScalingPoint>& points, std::int64_t n_resamples,
                            std::uint32_t seed, int n_threads) {
  const auto draws = numpy_draws(points.size(), n_resamples, seed);  // one stream for all, so drawn in advance
  return refits_of(fit, points, n_resamples, n_threads, [&](std::int64_t b, std::vector<double>& weights) {
    for (const std::uint32_t drawn : draws[static_cast<std::size_t>(b)]) weights[drawn] += points[drawn].weight;
  });
}

std::string name_of(FitInterval kind) {
  return kind == FitInterval::kPercentile ? "percentile" : kind == FitInterval::kBca ? "bca" : "profile";
}

std::optional<Interval> bootstrap_interval(const Refits& refits, const Fit& fit, const Quantity& quantity, double level,
                                           IntervalMethod method) {
  std::vector<double> replicates, influences;
  for (const Parameters& p : refits.resampled) replicates.push_back(quantity(p));
  for (const Parameters& p : refits.left_out) influences.push_back(quantity(p));
  centre_jackknife(influences);
  return bootstrap_interval(replicates, quantity(refits.centre.value_or(fit.p)), acceleration(influences), level,
                            method);
}

std::optional<double> bootstrap_se(const Refits& refits, const Quantity& quantity) {
  double sum = 0.0, squares = 0.0;
  const auto n = static_cast<double>(refits.resampled.size());
  for (const Parameters& p : refits.resampled) sum += quantity(p);
  for (const Parameters& p : refits.resampled) squares += std::pow(quantity(p) - sum / n, 2);
  const double se = std::sqrt(squares / (n - 1.0));
  return std::isfinite(se) ? std::optional(se) : std::nullopt;
}

// ---- profile likelihood ----

namespace {

// By how much the objective may rise; see profile_interval. Points of weight 0 are none.
double allowed_rise(const Fit& fit, const Problem& problem, double level) {
  const Objective& objective = fit.request.objective;
  const std::vector<Weighted> used = residuals_of(fit, problem);
  double psi_squared = 0.0;
  for (const auto& [r, weight] : used) {
    const double psi = weight * (objective.kind == ObjectiveKind::kL1 ? 1.0 : std::min(r, objective.delta));
    psi_squared += psi * psi;
  }
  const auto n = static_cast<double>(used.size()), k = static_cast<double>(fit.n_free);
  const double t = student_t_quantile(0.5 * (1.0 + level), n - k);
  if (objective.kind == ObjectiveKind::kLeastSquares) return fit.objective * t * t / (n - k);
  return 0.5 * t * t * (psi_squared / n) / mean_slope(objective, used, fit.n_free) * n / (n - k);
}

// Follows a profile from `start` outwards with growing steps until `rise(x)` passes `allowed`, then halves the bracket.
double find_end(double start, double step, double bound, double allowed, const std::function<double(double)>& rise) {
  double inside = start, outside = start;
  for (int i = 0; i < 60; ++i) {
    outside = inside + step;
    if ((step > 0.0 && outside >= bound) || (step < 0.0 && outside <= bound)) {
      if (rise(bound) <= allowed)
        return step > 0.0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
      outside = bound;
      break;
    }
    if (rise(outside) > allowed) break;
    inside = outside;
    step *= 2.0;
  }
  for (int i = 0; i < 30 && std::abs(outside - inside) > 1e-7 * (1.0 + std::abs(inside)); ++i) {
    const double middle = 0.5 * (inside + outside);
    (rise(middle) > allowed ? outside : inside) = middle;
  }
  return 0.5 * (inside + outside);
}

}  // namespace

std::optional<Interval> profile_interval(const Fit& fit, const std::vector<ScalingPoint>& points, std::size_t parameter,
                                         double level) {
  const Constraint& held = fit.request.constraints[parameter];
  if (held.fixed || held.tied_to) return std::nullopt;
  const Problem whole(*fit.law, fit.request.constraints, points);
  const double allowed = allowed_rise(fit, whole, level);
  const LawParameter shown = fit.law->parameters()[parameter];
  const Bounds& bounds = whole.bounds();
  const auto place =
      static_cast<std::size_t>(std::find(whole.free_parameters().begin(), whole.free_parameters().end(), parameter) -
                               whole.free_parameters().begin());
  const auto end = [&](double sign) {
    Parameters warm = fit.p;
    const auto rise = [&](double value) {
      Constraints constraints = fit.request.constraints;
      constraints[parameter].fixed = value;
      const Problem problem(*fit.law, resolved(*fit.law, constraints), points);
      const Minimum m =
          minimise_newton(problem, problem.targets(), fit.request.objective, problem.reduce(warm), problem.bounds());
      if (m.value - fit.objective <= allowed) warm = problem.expand(m.p);
      return m.value - fit.objective;
    };
    const double step = sign * 0.02 * std::max(std::abs(fit.p[parameter]), 0.1);
    return find_end(fit.p[parameter], step, sign > 0.0 ? bounds.hi[place] : bounds.lo[place], allowed, rise);
  };
  const double lo = end(-1.0), hi = end(1.0);
  return Interval{std::isfinite(lo) ? shown.shown(lo) : (shown.is_log ? 0.0 : lo),
                  std::isfinite(hi) ? shown.shown(hi) : hi};
}

std::optional<Interval> profile_prediction(const Fit& fit, const std::vector<ScalingPoint>& points,
                                           const ScalingPoint& at, double level) {
  Problem problem(*fit.law, fit.request.constraints, points);
  const double allowed = allowed_rise(fit, problem, level);
  problem.add_pin(at);
  const double centre = fit.law->log_loss(fit.p, observe(at));
  const double scale = std::max(fit.rms, 1e-9);
  // Pulled towards a value: where it then comes to lie, and what the points' objective is there, is a point of the
  // profile, whatever the pull. A soft one keeps the minimum round.
  problem.targets().back().weight = allowed / (scale * scale);
  const auto end = [&](double sign) {
    Parameters warm = fit.p;
    double reached = centre;
    const auto rise = [&](double value) {
      problem.targets().back().log_loss = value;
      const Minimum m =
          minimise_newton(problem, problem.targets(), fit.request.objective, problem.reduce(warm), problem.bounds());
      const double rise_of_points =
          objective_value(problem, std::span(problem.targets()).first(fit.n), fit.request.objective, m.p) -
          fit.objective;
      if (rise_of_points <= allowed) {
        warm = problem.expand(m.p);
        reached = problem.log_loss(fit.n, m.p);
      }
      return rise_of_points;
    };
    const double pull = find_end(centre, sign * 0.5 * scale, sign * 1e3, allowed, rise);
    return std::isfinite(pull) ? reached : pull;
  };
  const double lo = end(-1.0), hi = end(1.0);
  return Interval{std::exp(lo), std::exp(hi)};
}

// ---- hold-out ----

double flops_of(const ScalingPoint& point) {
  if (point.at(Variable::kFlops)) return *point.at(Variable::kFlops);
  if (!point.at(Variable::kParams) || !point.at(Variable::kTokens)) return std::numeric_limits<double>::quiet_NaN();
  return 6.0 * *point.at(Variable::kParams) * *point.at(Variable::kTokens);
}

HoldOut hold_out(const Fit& fit, const std::vector<ScalingPoint>& points, double cutoff_flops) {
  HoldOut result;
  std::vector<double> all;
  for (const ScalingPoint& point : points) {
    if (!std::isfinite(flops_of(point)))
      throw Error(ErrorKind::kData, point.label + ": no compute", "give C, or N and D");
    all.push_back(flops_of(point));
  }
  std::sort(all.begin(), all.end());
  result.cutoff_flops = cutoff_flops > 0.0 ? cutoff_flops : all[all.size() * 4 / 5];
  std::vector<ScalingPoint> below, above;
  for (const ScalingPoint& point : points) (flops_of(point) < result.cutoff_flops ? below : above).push_back(point);
  result.n_below = below.size();
  result.n_above = above.size();
  if (above.empty())
    throw Error(ErrorKind::kData,
                "no point has " + number(result.cutoff_flops) + " FLOP or more: the largest has " + number(all.back()),
                "give a smaller --hold-out");
  const Fit of_below = fit_law(fit.law, below, fit.request);
  result.p = of_below.p;
  for (const ScalingPoint& point : above) {
    const double error = std::log(of_below.predict(point) / point.loss);
    result.bias += error / static_cast<double>(above.size());
    result.rms += error * error / static_cast<double>(above.size());
    if (std::abs(error) > std::abs(result.worst)) result.worst = error;
  }
  result.rms = std::sqrt(result.rms);
  return result;
}

}  // namespace lmbits
