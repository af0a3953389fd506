// What the benches share: CPU time of one thread, medians over interleaved rounds.
#pragma once
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <vector>

namespace lmbits::bench {

inline double cpu_s(const std::function<void()>& work) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// FLOP/s, a value a round.
struct Rates {
  std::vector<double> values;
  void add(double flop, double seconds) { values.push_back(flop / seconds); }
  double middle() const { return median(values); }
};

}  // namespace lmbits::bench
