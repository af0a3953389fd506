// What one forward pass is given: a static, right-padded shape.
#pragma once
#include <cstdint>
#include <vector>

namespace lmbits {

struct Batch {
  std::int64_t n_sequences = 0;       // B
  std::int64_t n_positions = 0;       // T
  std::vector<std::int64_t> ids;      // [B,T]; 0 right of a sequence's end and in unused sequences
  std::vector<std::int64_t> rows;     // [N] ascending: b * T + t, the positions whose next token is scored
  std::vector<std::int32_t> targets;  // [N] the id that each of them must predict
};

}  // namespace lmbits
