#include "src/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace lmbits {
namespace {

// What the threads of one loop share.
class Loop {
 public:
  Loop(std::int64_t n_items, const std::function<void(std::int64_t)>& work) : n_items_(n_items), work_(work) {}

  // Items are claimed in ascending order and a claimed item always runs, so all items below one that threw run too:
  // the lowest that throws is the same at every thread count.
  void run() {
    while (!failed_) {
      const std::int64_t item = next_++;
      if (item >= n_items_) return;
      try {
        work_(item);
      } catch (...) {
        record(item, std::current_exception());
      }
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void record(std::int64_t item, std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_ || item < error_item_) {
      error_ = std::move(error);
      error_item_ = item;
    }
    failed_ = true;
  }

  const std::int64_t n_items_;
  const std::function<void(std::int64_t)>& work_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
  std::int64_t error_item_ = 0;
};

}  // namespace

int available_threads() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  // Fails where the machine has more processors than the mask holds.
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void parallel_for(std::int64_t n_items, int n_threads, const std::function<void(std::int64_t)>& work) {
  Loop loop(n_items, work);
  const std::int64_t wanted = std::min<std::int64_t>(n_threads > 0 ? n_threads : available_threads(), n_items);
  std::vector<std::jthread> helpers;
  try {
    for (std::int64_t t = 1; t < wanted; ++t) helpers.emplace_back([&loop] { loop.run(); });
  } catch (const std::system_error&) {
    // A limit on threads: those that started, and the caller, do the work.
  }
  loop.run();
  helpers.clear();  // joins
  loop.rethrow();
}

}  // namespace lmbits
