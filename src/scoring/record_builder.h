// Folds the bits of a document's windows into its record, in the windows' order whatever order they come back in.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/metrics/record.h"

namespace lmbits {

// Not thread-safe: the engine holds its lock.
class RecordBuilder {
 public:
  // `record` holds what is known before scoring: id, sizes, block_bytes. `n_windows` >= 1 are to be folded.
  RecordBuilder(DocumentRecord record, std::int64_t n_windows);

  // Continues from what checkpoint() gave: windows before next_window() are then not to be computed again.
  void restore(const Json& checkpoint);
  Json checkpoint() const;
  std::int64_t next_window() const { return next_; }

  // The bits of window `index` and the block of each; `n_forward` ids were fed for them. True when the record is whole.
  bool fold(std::int64_t index, const std::vector<double>& bits, const std::vector<std::int32_t>& blocks,
            std::int64_t n_forward);

  // The same from sums over runs of tokens of one block each, in their order.
  struct BlockSum {
    std::int32_t block;
    double bits, bits_squared;
    std::int64_t n_scored, first_bad;  // the first token of it without finite bits, -1: none
  };
  bool fold(std::int64_t index, const std::vector<BlockSum>& sums, std::int64_t n_forward);

  const DocumentRecord& record() const { return record_; }

 private:
  // One window's sums. Kept, not the bits of each token, so that a window waiting for its turn is small.
  struct Sums {
    double bits = 0.0, bits_squared = 0.0;
    std::vector<std::pair<std::int32_t, double>> blocks;
    std::int64_t n_scored = 0, n_forward = 0, first_bad = -1;
  };
  bool take(std::int64_t index, Sums sums);
  void fold(const Sums& sums);

  DocumentRecord record_;
  std::int64_t n_windows_;
  std::int64_t next_ = 0;
  std::map<std::int64_t, Sums> waiting_;
};

}  // namespace lmbits
