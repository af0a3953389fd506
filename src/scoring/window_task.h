// One window on its way through the model: cut loose from its document, so the document can be let go.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "src/model/batch.h"

namespace lmbits {

class RecordBuilder;

struct WindowTask {
  std::vector<std::int32_t> input;    // the ids to feed
  std::int64_t first_row = 0;         // the row that predicts targets[0]; the others follow
  std::vector<std::int32_t> targets;  // the ids to score
  std::vector<std::int32_t> blocks;   // of each target, the block of its record (see DocumentRecord::block_bits)
  std::int64_t n_bytes = 0;           // source bytes from the last window's targets to the end of these: for progress
  std::shared_ptr<RecordBuilder> record;
  std::int64_t index = 0;             // of this window in its record
  std::vector<Branch> branches = {};  // of `input`; `sequence` is set when the window is laid out in a batch
};

}  // namespace lmbits
