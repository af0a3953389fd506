// Collects windows of like length into batches of static shape [B,T].
//
// T is a function of the window's length alone and B of T alone, so the shape in which a window is computed never
// depends on what else is in the corpus; unused places of a last batch are filled with dummy sequences. With a backend
// whose rows do not depend on their neighbours, a document's bits are then the same whatever shares its batch.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "src/model/batch.h"
#include "src/scoring/window_task.h"

namespace lmbits {

struct BatchShape {
  std::int64_t n_positions;  // T
  std::int64_t n_sequences;  // B
};

class BatchPlan {
 public:
  // `longest`: the longest window to come. `positions`: B * T to aim at. `max_sequences`: an upper bound of B, 0 for none.
  BatchPlan(std::int64_t longest, std::int64_t positions, std::int64_t max_sequences);

  // The shape for a window of `length` ids, 1 <= length <= longest. T is a multiple of 8 (or `longest` itself), at
  // most an eighth or 15 positions more than the window needs; never below 16, where a row's bits may depend on B.
  BatchShape shape(std::int64_t length) const;

 private:
  std::int64_t longest_, positions_, max_sequences_;
};

class Batcher {
 public:
  explicit Batcher(BatchPlan plan) : plan_(plan) {}

  // Adds a window; returns a full batch's windows when it completed one, else nothing.
  std::vector<WindowTask> add(WindowTask task);

  // The windows of one batch that is not full, longest first; empty when nothing is left.
  std::vector<WindowTask> flush();

  // Lays the windows of one bucket out as a batch.
  Batch pack(const std::vector<WindowTask>& tasks) const;

 private:
  BatchPlan plan_;
  std::map<std::int64_t, std::vector<WindowTask>> buckets_;  // by T
};

}  // namespace lmbits
