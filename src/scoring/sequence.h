// A sequence x of ids with the source bytes of each, and the windows that a convention lays over it, as tasks.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "src/conventions/convention.h"
#include "src/scoring/window_task.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {

class LanguageModel;

// `options` with the defaults that fit the model; throws as resolve_convention does.
Convention convention_for(const LanguageModel& model, const ConventionOptions& options);

struct Sequence {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> n_bytes;  // of each id; 0 for a lead
  std::vector<std::int64_t> leads;    // where leads (BOS) stand, ascending

  void add_lead(const Convention& convention);
  void add(Tokens tokens);

  // How many of x[begin, end) are tokens of the text.
  std::int64_t count_tokens(std::int64_t begin, std::int64_t end) const;
};

// Walks along a sequence, window by window. Windows must be asked for in ascending order.
class WindowCutter {
 public:
  // `sequence` and `convention` must outlive the cutter. `block_bytes` 0: one block.
  WindowCutter(const Sequence& sequence, const Convention& convention, std::int64_t block_bytes, std::int64_t n_blocks);

  // Window k, for `record`, as its `index`-th.
  WindowTask cut(std::int64_t k, std::shared_ptr<RecordBuilder> record, std::int64_t index);

  // The byte at which the targets of window k - 1 end (0 for the first): what is done before window k.
  std::int64_t bytes_before(std::int64_t k);

  // The byte at which x[i] begins. `i` must not fall from one call (or cut) to the next.
  std::int64_t byte_at(std::int64_t i);

 private:
  const Sequence& sequence_;
  const Convention& convention_;
  std::int64_t block_bytes_, n_blocks_;
  std::int64_t at_ = 0;       // an index into x ...
  std::int64_t byte_at_ = 0;  // ... and the byte at which it begins
};

}  // namespace lmbits
