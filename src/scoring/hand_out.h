// How the documents of a corpus are handed out to several workers: in blocks, long documents first, small blocks last.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/corpus/reader.h"

namespace lmbits {

// The documents begin <= number < end (counted in the corpus' order from 0) that belong to the pass and are to be done.
struct WorkBlock {
  int pass = 0;
  std::int64_t begin = 0, end = 0;
  std::int64_t n_bytes = 0;
};

// A corpus is read forward only, compressed or not, so a worker reads it once for each pass and blocks ascend in a pass.
//
// Pass 0 has the documents of at least a 8th of a worker's share, a block each; the others those of at least a 64th, of
// at least a 512th, and the rest. Passes without documents are left out. A block of the later passes holds a 4th of a
// worker's share of what then remains, at most (guided self-scheduling, Polychronopoulos and Kuck 1987,
// doi:10.1109/TC.1987.5009495), or one document. So with blocks taken as workers become free, equal workers end within
// a 512th of a share, or the longest document, of each other.
struct WorkPlan {
  std::vector<std::int64_t> at_least;  // bytes of the documents of each pass; falls, the last is 0
  std::vector<WorkBlock> blocks;       // in the order in which they are handed out
  std::string todo;                    // a bit a document, the first in the lowest bit of the first byte

  bool is_todo(std::int64_t number) const;
  int pass_of(std::int64_t n_bytes) const;
};

// `n_bytes[i]` of document i; `todo[i]`: is it to be done?
WorkPlan plan_work(const std::vector<std::int64_t>& n_bytes, const std::vector<bool>& todo, int n_workers);

// As bytes for the other workers, and back. Error(kData) for what to_bytes never made.
std::string to_bytes(const WorkPlan& plan);
WorkPlan plan_from_bytes(const std::string& bytes);

// Yields the documents of the blocks whose numbers `next_block` gives (ascending; past the last: the end).
std::unique_ptr<CorpusReader> hand_out(std::function<std::unique_ptr<CorpusReader>()> open, WorkPlan plan,
                                       std::function<std::int64_t()> next_block);

}  // namespace lmbits
