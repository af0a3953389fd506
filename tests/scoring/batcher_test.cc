#include "src/scoring/batcher.h"

#include <gtest/gtest.h>

namespace lmbits {
namespace {

WindowTask task_of(std::int64_t n_input, std::int64_t first_row, std::int32_t first_id = 1) {
  WindowTask task;
  for (std::int64_t i = 0; i < n_input; ++i) task.input.push_back(first_id + static_cast<std::int32_t>(i));
  task.first_row = first_row;
  for (std::int64_t i = first_row; i < n_input; ++i)
    task.targets.push_back(task.input[static_cast<std::size_t>(i)] + 1);
  return task;
}

TEST(BatchPlan, EveryWindowFitsAndWastesLittle) {
  for (const std::int64_t longest : {1, 15, 16, 17, 100, 512, 2048, 5000}) {
    const BatchPlan plan(longest, 2048, 0);
    std::int64_t last = 0;
    for (std::int64_t length = 1; length <= longest; ++length) {
      const BatchShape shape = plan.shape(length);
      ASSERT_GE(shape.n_positions, length);
      ASSERT_LE(shape.n_positions, std::max<std::int64_t>(longest, 16));
      ASSERT_LE(shape.n_positions - length, std::max<std::int64_t>(15, length / 8));
      ASSERT_GE(shape.n_positions, last) << "longer windows have longer shapes";
      ASSERT_GE(shape.n_sequences, 1);
      last = shape.n_positions;
    }
  }
}

TEST(BatchPlan, KeepsToTheBounds) {
  EXPECT_EQ(BatchPlan(512, 2048, 0).shape(512).n_sequences, 4);
  EXPECT_EQ(BatchPlan(512, 2048, 3).shape(512).n_sequences, 3);
  EXPECT_EQ(BatchPlan(512, 2048, 3).shape(16).n_sequences, 3);
  EXPECT_EQ(BatchPlan(4096, 2048, 0).shape(4096).n_sequences, 1);
}

TEST(Batcher, GivesBackEveryWindowOnce) {
  Batcher batcher(BatchPlan(64, 128, 0));
  std::vector<int> seen(200, 0);
  const auto count = [&](const std::vector<WindowTask>& tasks) {
    for (const WindowTask& task : tasks) ++seen[static_cast<std::size_t>(task.index)];
  };
  for (std::int64_t i = 0; i < 200; ++i) {
    WindowTask task = task_of(1 + i * 37 % 64, 0);
    task.index = i;
    count(batcher.add(std::move(task)));
  }
  for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) count(rest);
  for (const int n : seen) EXPECT_EQ(n, 1);
}

TEST(Batcher, PacksTargetsBesideTheRowsThatPredictThem) {
  Batcher batcher(BatchPlan(20, 64, 0));
  const std::vector<WindowTask> tasks = {task_of(20, 5, 100), task_of(18, 0, 300)};
  const Batch batch = batcher.pack(tasks);
  ASSERT_EQ(batch.n_positions, 20);
  ASSERT_EQ(batch.n_sequences, 3);  // 64 / 20, one of them a dummy
  ASSERT_EQ(batch.ids.size(), 60u);
  ASSERT_EQ(batch.rows.size(), 15u + 18u);
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    EXPECT_EQ(batch.ids[static_cast<std::size_t>(batch.rows[i])] + 1, batch.targets[i]);
    if (i > 0) {
      EXPECT_LT(batch.rows[i - 1], batch.rows[i]);
    }
  }
  EXPECT_EQ(batch.ids[20 + 18], 0) << "padding";
  EXPECT_EQ(batch.ids[40], 0) << "dummy sequence";
}

}  // namespace
}  // namespace lmbits
