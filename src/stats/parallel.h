// Independent pieces of work on a few threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lmbits {

// Calls work(i) once for each i in [0, n), in any order, on the calling thread and up to n_threads - 1 more. The results
// are independent of n_threads where work(i) writes only what belongs to i. Rethrows the first exception thrown.
template <typename Work>
void parallel_for(std::size_t n, int n_threads, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto take = [&] {
    try {
      for (std::size_t i = next++; i < n; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = n;
    }
  };
  std::vector<std::thread> helpers;
  for (std::size_t t = 1; t < std::min(n, static_cast<std::size_t>(std::max(n_threads, 1))); ++t) helpers.emplace_back(take);
  take();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lmbits
