// Which ids are fed, and which are scored, in each forward pass.
#pragma once
#include <cstdint>
#include <vector>

namespace lmbits {

// What stands at position 0 of a window's input.
enum class Lead {
  kNone,      // x[begin], as it is
  kReplaced,  // BOS in the place of x[begin]
  kInserted,  // BOS before x[begin]: the first row predicts x[begin] itself
};

// Feed x[begin, end), led as `lead` says. The last row predicts x[end] (lead kInserted: x[end - 1] is never fed and
// `end` counts targets: see plan functions). Count the bits of x[score_begin, score_end) only; every scored x[i] is
// predicted by the row that stands directly before it.
struct Window {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t score_begin;
  std::int64_t score_end;
  Lead lead = Lead::kNone;
};

}  // namespace lmbits
