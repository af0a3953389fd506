// What one forward pass is given: a static, right-padded shape.
#pragma once
#include <cstdint>
#include <vector>

namespace lmbits {

// Positions [begin, end) of a sequence that do not go on from the position before them, but from position trunk - 1:
// the sequence splits there, and the branch sees positions [0, trunk) and itself. trunk <= the first branch's begin.
struct Branch {
  std::int64_t sequence = 0, begin = 0, end = 0, trunk = 0;
};

struct Batch {
  std::int64_t n_sequences = 0;       // B
  std::int64_t n_positions = 0;       // T
  std::vector<std::int64_t> ids;      // [B,T]; 0 right of a sequence's end and in unused sequences
  std::vector<std::int64_t> rows;     // [N] ascending: b * T + t, the positions whose next token is scored
  std::vector<std::int32_t> targets;  // [N] the id that each of them must predict
  std::vector<Branch> branches;       // none but for models that take them: see LanguageModel::takes_branches
};

}  // namespace lmbits
