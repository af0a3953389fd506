#include "src/scaling/coverage.h"

#include <algorithm>
#include <cmath>

#include "src/core/thread_pool.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

std::vector<ScalingPoint> with_noise(const Law& law, const Parameters& truth, std::vector<ScalingPoint> points,
                                     double sigma, std::uint64_t seed, std::uint64_t time) {
  Random random(seed, time);
  for (ScalingPoint& point : points) {
    const double noise = sigma * normal_quantile(std::max(random.uniform(), 1e-16));
    point.loss = std::exp(law.log_loss(truth, observe(point)) + noise);
  }
  return points;
}

std::vector<std::size_t> free_parameters(const Law& law, const Constraints& constraints) {
  std::vector<std::size_t> free;
  for (std::size_t j = 0; j < law.parameters().size(); ++j) {
    if (constraints.empty() || (!constraints[j].fixed && !constraints[j].tied_to)) free.push_back(j);
  }
  return free;
}

// For each kind, for each quantity: is the truth in this fit's interval?
using Held = std::vector<std::vector<bool>>;

Held held_by(const Fit& fit, const std::vector<ScalingPoint>& points, const Parameters& truth,
             const std::vector<std::size_t>& free, const CoverageRequest& request, std::uint64_t seed) {
  const Law& law = *fit.law;
  const Refits refits = bootstrap_fits(fit, points, request.n_resamples, seed, 1);
  const auto interval = [&](FitInterval kind, const Quantity& quantity) {
    return bootstrap_interval(refits, fit, quantity, request.level,
                              kind == FitInterval::kBca ? IntervalMethod::kBca : IntervalMethod::kPercentile);
  };
  Held held;
  for (const FitInterval kind : request.kinds) {
    const bool is_profile = kind == FitInterval::kProfile;
    std::vector<bool> row;
    for (const std::size_t j : free) {
      const LawParameter shown = law.parameters()[j];
      const Quantity quantity = [&](const Parameters& p) { return shown.shown(p[j]); };
      const auto found = is_profile ? profile_interval(fit, points, j, request.level) : interval(kind, quantity);
      row.push_back(found && found->contains(quantity(truth)));
    }
    for (const ScalingPoint& at : request.predictions) {
      const Quantity quantity = [&](const Parameters& p) { return std::exp(law.log_loss(p, observe(at))); };
      const auto found = is_profile ? profile_prediction(fit, points, at, request.level) : interval(kind, quantity);
      row.push_back(found && found->contains(quantity(truth)));
    }
    held.push_back(std::move(row));
  }
  return held;
}

}  // namespace

double Coverage::Kind::least() const { return *std::min_element(shares.begin(), shares.end()); }
double Coverage::Kind::most() const { return *std::max_element(shares.begin(), shares.end()); }
double Coverage::error() const {
  return std::sqrt(request.level * (1.0 - request.level) / static_cast<double>(request.n_times));
}

Coverage measure_coverage(std::shared_ptr<const Law> law, const Parameters& truth,
                          const std::vector<ScalingPoint>& points, const FitRequest& request,
                          const CoverageRequest& coverage) {
  FitRequest fit_request = request;
  fit_request.n_threads = 1;
  if (fit_request.constraints.empty()) fit_request.constraints = law->default_constraints();
  const std::vector<std::size_t> free = free_parameters(*law, fit_request.constraints);
  std::vector<Held> all(static_cast<std::size_t>(coverage.n_times));
  parallel_for(coverage.n_times, coverage.n_threads, [&](std::int64_t t) {
    const auto time = static_cast<std::uint64_t>(t);
    const auto noisy = with_noise(*law, truth, points, coverage.sigma, coverage.seed, time);
    const std::uint64_t bootstrap_seed = (coverage.seed << 32) + time + 1;
    all[static_cast<std::size_t>(t)] =
        held_by(fit_law(law, noisy, fit_request), noisy, truth, free, coverage, bootstrap_seed);
  });
  Coverage result{coverage, {}, {}};
  for (const std::size_t j : free) result.quantities.push_back(law->parameters()[j].name);
  for (const ScalingPoint& at : coverage.predictions) result.quantities.push_back(at.label);
  for (std::size_t k = 0; k < coverage.kinds.size(); ++k) {
    Coverage::Kind kind{coverage.kinds[k], std::vector<double>(result.quantities.size(), 0.0)};
    for (const Held& held : all) {
      for (std::size_t q = 0; q < kind.shares.size(); ++q)
        kind.shares[q] += held[k][q] ? 1.0 / static_cast<double>(coverage.n_times) : 0.0;
    }
    result.kinds.push_back(std::move(kind));
  }
  return result;
}

}  // namespace lmbits
