// How long does a fit of Hoffmann et al.'s law take, and 4,000 refits of it? For scaling_fit.py, which runs the peer.
//
//   scaling_fit POINTS.csv [ROUNDS]     prints lines of JSON
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "src/core/file.h"
#include "src/core/thread_pool.h"
#include "src/scaling/fit.h"
#include "src/scaling/points.h"

using namespace lmbits;

namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double wall_seconds() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: scaling_fit POINTS.csv [ROUNDS]\n"), 2;
  PointsRequest read;
  read.exclude = {"in_published_fit=0"};
  const std::vector<ScalingPoint> points = read_points(read_file(argv[1]), argv[1], read).points;
  const int rounds = argc > 2 ? std::stoi(argv[2]) : 21;
  const std::shared_ptr<const Law> law = make_law("chinchilla");
  for (const ObjectiveKind kind : {ObjectiveKind::kHuber, ObjectiveKind::kL1}) {
    FitRequest request;
    request.objective.kind = kind;
    Fit fit = fit_law(law, points, request);  // warm-up
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) {
      const double begin = cpu_seconds();
      fit = fit_law(law, points, request);
      times.push_back(cpu_seconds() - begin);
    }
    std::sort(times.begin(), times.end());
    std::printf(
        "{\"what\": \"fit\", \"objective\": \"%s\", \"value\": %.12g, \"cpu_s\": %.6f, \"least\": %.6f, \"most\": "
        "%.6f, \"E\": %.6g, \"A\": %.6g, \"B\": %.6g, \"alpha\": %.6g, \"beta\": %.6g}\n",
        kind == ObjectiveKind::kHuber ? "huber" : "l1", fit.objective, times[times.size() / 2], times.front(),
        times.back(), std::exp(fit.p[0]), std::exp(fit.p[1]), std::exp(fit.p[2]), fit.p[3], fit.p[4]);
    const double begin = wall_seconds();
    const Refits refits = bootstrap_fits(fit, points, 4000, 1, available_threads());
    std::printf(
        "{\"what\": \"4000 refits\", \"objective\": \"%s\", \"wall_s\": %.3f, \"threads\": %d, \"se_alpha\": %.5f, "
        "\"se_beta\": %.5f}\n",
        kind == ObjectiveKind::kHuber ? "huber" : "l1", wall_seconds() - begin, available_threads(),
        bootstrap_se(refits, [](const Parameters& p) { return p[3]; }).value(),
        bootstrap_se(refits, [](const Parameters& p) { return p[4]; }).value());
  }
  return 0;
}
