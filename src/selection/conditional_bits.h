// What a language model needs for a text that stands behind another: the evaluator's part of a selection by model bits.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"

namespace lmbits {

class ConditionalBits {
 public:
  virtual ~ConditionalBits() = default;
  // For each text, Σ -log2 p over its tokens, behind BOS and as much of the end of `context` as the model's context has room
  // for beside the text, but half of it at least where there is so much. Texts longer than that go on in windows
  // with half a window of context. Texts and context are tokenised apart. Independent of each other and of threads.
  virtual std::vector<double> bits(const std::string& context, const std::vector<std::string>& texts) = 0;
  virtual Json identity() const = 0;                // all that the bits depend on
  virtual std::int64_t context_length() const = 0;  // in tokens: text and context together see no further
};

}  // namespace lmbits
