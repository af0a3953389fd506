#include "src/scoring/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

namespace lmbits {
namespace {

// Until the producer has nothing left to do but wait: nobody pops meanwhile.
void let_it_wait() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

TEST(WorkQueue, HandsEachItemOutOnceAtAnyCapacityAndThreadCount) {
  constexpr int kItems = 2000;
  for (const std::size_t capacity : {1U, 2U, 3U, 8U, 3000U}) {
    for (const int n_workers : {1, 2, 5}) {
      WorkQueue<int> queue(capacity);
      std::vector<std::atomic<int>> seen(kItems);
      std::vector<std::thread> workers;
      for (int i = 0; i < n_workers; ++i) {
        workers.emplace_back([&] {
          while (const auto item = queue.pop()) ++seen[static_cast<std::size_t>(*item)];
        });
      }
      for (int i = 0; i < kItems; ++i) EXPECT_TRUE(queue.push(i));
      queue.close();
      for (std::thread& worker : workers) worker.join();
      for (const auto& n : seen) ASSERT_EQ(n, 1) << "capacity " << capacity << ", " << n_workers << " workers";
    }
  }
}

TEST(WorkQueue, KeepsTheOrderAndWhatWasPushedBeforeItWasClosed) {
  WorkQueue<int> queue(4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(i));
  queue.close();
  EXPECT_FALSE(queue.push(4));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(queue.pop(), i);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(WorkQueue, AFullQueueIsFilledAgainOnceHalfOfItIsEmpty) {
  WorkQueue<int> queue(4);
  std::atomic<int> n_pushed{0};
  std::thread producer([&] {
    for (int i = 0; i < 6; ++i) {
      EXPECT_TRUE(queue.push(i));
      ++n_pushed;
    }
  });
  while (n_pushed < 4) std::this_thread::yield();
  let_it_wait();
  EXPECT_EQ(queue.pop(), 0);
  let_it_wait();
  EXPECT_EQ(n_pushed, 4) << "woken for one free place";
  EXPECT_EQ(queue.pop(), 1);
  producer.join();  // two places: both items
  EXPECT_EQ(n_pushed, 6);
}

TEST(WorkQueue, AProducerThatWaitsIsSentAwayWhenTheQueueIsClosedOrAbandoned) {
  for (const bool abandoned : {false, true}) {
    WorkQueue<int> queue(1);
    EXPECT_TRUE(queue.push(0));
    std::thread producer([&] { EXPECT_FALSE(queue.push(1)); });
    let_it_wait();
    abandoned ? queue.abandon() : queue.close();
    producer.join();
    EXPECT_EQ(queue.pop(), abandoned ? std::nullopt : std::optional(0));
    EXPECT_EQ(queue.pop(), std::nullopt);
  }
}

}  // namespace
}  // namespace lmbits
