// Synthetic trained models whose law is known.
#pragma once
#include <cmath>
#include <vector>

#include "src/scaling/law.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

namespace lmbits {

inline const Parameters kTruth = {std::log(1.8), std::log(480.0), std::log(2100.0), 0.35, 0.37};

inline ScalingPoint make_point(double n, double d, double loss) {
  ScalingPoint point;
  point.label = "N = " + std::to_string(n);
  point.at(Variable::kParams) = n;
  point.at(Variable::kTokens) = d;
  point.at(Variable::kFlops) = 6.0 * n * d;
  point.loss = loss;
  return point;
}

inline double normal_draw(Random& random) { return normal_quantile(std::max(random.uniform(), 1e-16)); }

// isoFLOP profiles like Hoffmann et al.'s: budgets from 6e18 to 3e21, `n_sizes` sizes around each one's optimum; log
// losses with normal noise of sd `sigma`.
inline std::vector<ScalingPoint> isoflop_points(int n_sizes, double sigma, std::uint64_t seed,
                                                const Parameters& p = kTruth) {
  const auto law = make_law("chinchilla");
  Random random(seed, 0);
  std::vector<ScalingPoint> points;
  for (const double flops : {6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21}) {
    const double best = 0.1 * std::sqrt(flops);
    for (int i = 0; i < n_sizes; ++i) {
      const double n = best * std::pow(6.0, 2.0 * i / (n_sizes - 1) - 1.0);
      ScalingPoint point = make_point(n, flops / (6.0 * n), 1.0);
      point.loss = std::exp(law->log_loss(p, observe(point)) + sigma * normal_draw(random));
      points.push_back(point);
    }
  }
  return points;
}

}  // namespace lmbits
