// How often do the intervals of a fitted law hold the truth? Recovery of known laws from noisy losses on published
// designs: log losses get independent normal noise of the size of that design's residuals.
//
//   scaling_coverage [--times 400] [--resamples 400] [--seed 1] [--points chinchilla_runs.csv]
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "src/core/file.h"
#include "src/core/thread_pool.h"
#include "src/scaling/fit.h"
#include "src/scaling/points.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

using namespace lmbits;

namespace {

const Parameters kTruth{std::log(1.8172), std::log(482.01), std::log(2085.43), 0.3478, 0.3658};

ScalingPoint point_at(double n, double d) {
  ScalingPoint point;
  point.at(Variable::kParams) = n;
  point.at(Variable::kTokens) = d;
  point.at(Variable::kFlops) = 6.0 * n * d;
  point.loss = 1.0;
  return point;
}

// Nine isoFLOP budgets of nine sizes, as in Hoffmann et al.'s approach 2.
std::vector<ScalingPoint> isoflop_design() {
  std::vector<ScalingPoint> points;
  for (const double flops : {6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21}) {
    for (int i = 0; i < 9; ++i) {
      const double n = 0.1 * std::sqrt(flops) * std::pow(6.0, i / 4.0 - 1.0);
      points.push_back(point_at(n, flops / (6.0 * n)));
    }
  }
  return points;
}

struct Named {
  std::string name;
  Quantity quantity;
};

void measure(const char* design, const std::vector<ScalingPoint>& base, ObjectiveKind kind, double sigma, int times,
             int n_resamples, std::uint64_t seed) {
  const std::shared_ptr<const Law> law = make_law("chinchilla");
  const Observation far = observe(point_at(7e10, 1.4e12));
  const std::vector<Named> quantities = {
      {"E", [](const Parameters& p) { return std::exp(p[0]); }},
      {"A", [](const Parameters& p) { return std::exp(p[1]); }},
      {"B", [](const Parameters& p) { return std::exp(p[2]); }},
      {"alpha", [](const Parameters& p) { return p[3]; }},
      {"beta", [](const Parameters& p) { return p[4]; }},
      {"L(70B, 1.4T)", [&](const Parameters& p) { return std::exp(law->log_loss(p, far)); }}};
  std::vector<std::array<std::array<int, 6>, 3>> held(static_cast<std::size_t>(times));
  parallel_for(times, available_threads(), [&](std::int64_t t) {
    Random random(seed, static_cast<std::uint64_t>(t));
    std::vector<ScalingPoint> points = base;
    for (ScalingPoint& point : points)
      point.loss =
          std::exp(law->log_loss(kTruth, observe(point)) + sigma * normal_quantile(std::max(random.uniform(), 1e-16)));
    FitRequest request;
    request.objective.kind = kind;
    const Fit fit = fit_law(law, points, request);
    const Refits refits = bootstrap_fits(fit, points, n_resamples, seed, 1);
    for (std::size_t q = 0; q < quantities.size(); ++q) {
      const double truth = quantities[q].quantity(kTruth);
      const auto hold = [&](const std::optional<Interval>& interval) {
        return interval && interval->contains(truth) ? 1 : 0;
      };
      auto& row = held[static_cast<std::size_t>(t)];
      row[0][q] = hold(bootstrap_interval(refits, fit, quantities[q].quantity, 0.95, IntervalMethod::kPercentile));
      row[1][q] = hold(bootstrap_interval(refits, fit, quantities[q].quantity, 0.95, IntervalMethod::kBca));
      row[2][q] = hold(q < 5 ? profile_interval(fit, points, q, 0.95)
                             : profile_prediction(fit, points, point_at(7e10, 1.4e12), 0.95));
    }
  });
  const char* kinds[] = {"percentile", "bca", "profile"};
  std::printf("%s, %zu points, %s, noise %.2f %%: share of %d nominal 95 %% intervals that hold the truth, %%\n",
              design, base.size(), name_of(Objective{kind, 1e-3}).c_str(), 100.0 * sigma, times);
  for (std::size_t k = 0; k < 3; ++k) {
    std::printf("  %-11s", kinds[k]);
    for (std::size_t q = 0; q < quantities.size(); ++q) {
      int n = 0;
      for (const auto& row : held) n += row[k][q];
      std::printf(" %s %.1f", quantities[q].name.c_str(), 100.0 * n / times);
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int times = 400, n_resamples = 400;
  std::uint64_t seed = 1;
  std::string file;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--times")) times = std::stoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--resamples")) n_resamples = std::stoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--seed")) seed = std::stoull(argv[i + 1]);
    if (!std::strcmp(argv[i], "--points")) file = argv[i + 1];
  }
  std::vector<std::pair<const char*, std::vector<ScalingPoint>>> designs{{"nine isoFLOP budgets", isoflop_design()}};
  if (!file.empty()) {
    PointsRequest request;
    request.exclude = {"in_published_fit=0"};
    designs.emplace_back("Hoffmann et al.'s points", read_points(read_file(file), file, request).points);
  }
  for (const auto& [name, points] : designs) {
    for (const ObjectiveKind kind : {ObjectiveKind::kHuber, ObjectiveKind::kL1, ObjectiveKind::kLeastSquares})
      measure(name, points, kind, 0.0076, times, n_resamples, seed);
  }
  return 0;
}
