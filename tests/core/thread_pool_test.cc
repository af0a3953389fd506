#include "src/core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lmbits {
namespace {

TEST(ParallelFor, RunsEachItemExactlyOnceAtAnyThreadCount) {
  for (int n_threads : {0, 1, 2, 3, 16}) {
    for (std::int64_t n_items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(n_items));
      parallel_for(n_items, n_threads, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      for (const auto& n : runs) EXPECT_EQ(n, 1) << n_items << " items on " << n_threads << " threads";
    }
  }
}

// Items 5 and 6 are both under way when the one and then the other fails.
TEST(ParallelFor, RethrowsTheLowestFailureWhicheverComesFirst) {
  for (int n_threads : {2, 3, 8}) {
    for (std::int64_t late : {5, 6}) {
      std::atomic<int> n_under_way{0};
      try {
        parallel_for(64, n_threads, [&](std::int64_t i) {
          if (i != 5 && i != 6) return;
          ++n_under_way;
          while (n_under_way < 2) std::this_thread::yield();
          if (i == late) std::this_thread::sleep_for(std::chrono::milliseconds(20));
          throw std::runtime_error(std::to_string(i));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "5") << n_threads << " threads, " << late << " fails last";
      }
    }
  }
}

TEST(ParallelFor, StartsNoItemAfterAFailure) {
  std::int64_t last = -1;
  EXPECT_THROW(parallel_for(1000, 1,
                            [&](std::int64_t i) {
                              last = i;
                              if (i == 3) throw std::runtime_error("stop");
                            }),
               std::runtime_error);
  EXPECT_EQ(last, 3);
}

TEST(ParallelFor, CanBeNested) {
  std::atomic<int> runs{0};
  parallel_for(4, 4, [&](std::int64_t) { parallel_for(5, 2, [&](std::int64_t) { ++runs; }); });
  EXPECT_EQ(runs, 20);
}

TEST(AvailableThreads, IsAtLeastOne) { EXPECT_GE(available_threads(), 1); }

}  // namespace
}  // namespace lmbits
