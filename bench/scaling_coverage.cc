// How often do the intervals of a fitted law hold the truth? Recovery of a known law from noisy losses on published
// designs: log losses get independent normal noise of the size of that design's residuals.
//
//   scaling_coverage [--times 1000] [--resamples 400] [--seed 1] [--points chinchilla_runs.csv]
//                    [--design isoflop|published] [--objective huber|l1|squares]
//                    [--kinds percentile,bca,profile]
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include "src/core/file.h"
#include "src/core/thread_pool.h"
#include "src/scaling/coverage.h"
#include "src/scaling/points.h"

using namespace lmbits;

namespace {

const Parameters kTruth{std::log(1.8172), std::log(482.01), std::log(2085.43), 0.3478, 0.3658};
constexpr double kNoise = 0.0076;

ScalingPoint point_at(double n, double d, const std::string& label = "") {
  ScalingPoint point;
  point.label = label;
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

std::vector<ScalingPoint> published_design(const std::string& file) {
  PointsRequest request;
  request.exclude = {"in_published_fit=0"};
  return read_points(read_file(file), file, request).points;
}

void measure(const char* design, const std::vector<ScalingPoint>& points, const Objective& objective,
             CoverageRequest request) {
  FitRequest fit;
  fit.objective = objective;
  request.sigma = kNoise;
  request.n_threads = available_threads();
  request.predictions = {point_at(7e10, 1.4e12, "L(70B, 1.4T)")};
  const Coverage found = measure_coverage(make_law("chinchilla"), kTruth, points, fit, request);
  std::printf(
      "%s, %zu points, %s, noise %.2f %%, %lld fits of %lld refits, seed %llu: share of nominal 95 %% intervals that "
      "hold the truth, %% (standard error %.1f)\n",
      design, points.size(), name_of(objective).c_str(), 100.0 * kNoise, static_cast<long long>(request.n_times),
      static_cast<long long>(request.n_resamples), static_cast<unsigned long long>(request.seed),
      100.0 * found.error());
  for (const Coverage::Kind& kind : found.kinds) {
    std::printf("  %-11s", name_of(kind.kind).c_str());
    for (std::size_t q = 0; q < found.quantities.size(); ++q)
      std::printf(" %s %.1f", found.quantities[q].c_str(), 100.0 * kind.shares[q]);
    std::printf("   %s\n", kind.least() >= 0.92 && kind.most() <= 0.97 ? "all within 92 to 97" : "NOT within 92 to 97");
  }
  std::fflush(stdout);
}

int bench(int argc, char** argv) {
  CoverageRequest request;
  request.n_times = 1000;
  std::map<std::string, std::string> flags{{"--times", "1000"},
                                           {"--resamples", "400"},
                                           {"--seed", "1"},
                                           {"--points", ""},
                                           {"--design", ""},
                                           {"--objective", ""},
                                           {"--kinds", "percentile,bca,profile"}};
  for (int i = 1; i < argc; i += 2) {
    if (!flags.contains(argv[i]) || i + 1 == argc) return std::fprintf(stderr, "what is %s?\n", argv[i]), 2;
    flags[argv[i]] = argv[i + 1];
  }
  request.n_times = std::stoll(flags["--times"]);
  request.n_resamples = std::stoll(flags["--resamples"]);
  request.seed = std::stoull(flags["--seed"]);
  std::erase_if(request.kinds,
                [&](FitInterval kind) { return flags["--kinds"].find(name_of(kind)) == std::string::npos; });
  const auto asked = [&](const char* flag, const char* name) { return flags[flag].empty() || flags[flag] == name; };
  for (const auto& [name, kind] : {std::pair{"huber", ObjectiveKind::kHuber},
                                   {"l1", ObjectiveKind::kL1},
                                   {"squares", ObjectiveKind::kLeastSquares}}) {
    if (!asked("--objective", name)) continue;
    const Objective objective{kind, 1e-3};
    if (asked("--design", "isoflop")) measure("nine isoFLOP budgets", isoflop_design(), objective, request);
    if (asked("--design", "published") && !flags["--points"].empty())
      measure("Hoffmann et al.'s points", published_design(flags["--points"]), objective, request);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return bench(argc, argv);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "scaling_coverage: %s\n", error.what()), 1;
  }
}
