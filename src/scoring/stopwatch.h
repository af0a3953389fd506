// Adds the wall time of a scope to a total.
#pragma once
#include <chrono>

namespace lmbits {

class Stopwatch {
 public:
  explicit Stopwatch(double& total_s) : total_s_(total_s), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { total_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& total_s_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lmbits
