// Which ids are fed, and which are scored, in each forward pass.
#pragma once
#include <cstdint>

namespace lmbits {

// What stands at position 0 of a window's input.
enum class Lead {
  kNone,      // x[begin], as it is
  kReplaced,  // BOS in the place of x[begin]
  kInserted,  // BOS before x[begin]: the first row predicts x[begin] itself
};

// Feeds x[begin, end), led as `lead` says: end - begin ids, one more with kInserted. Row r of the output predicts
// x[begin + r + 1] (kInserted: x[begin + r]). The bits of x[score_begin, score_end) count, each from the row that
// predicts it.
struct Window {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t score_begin;
  std::int64_t score_end;
  Lead lead = Lead::kNone;

  std::int64_t n_fed() const { return end - begin + (lead == Lead::kInserted ? 1 : 0); }
  std::int64_t n_scored() const { return score_end - score_begin; }
  // The row that predicts x[i], for i in [score_begin, score_end).
  std::int64_t row_of(std::int64_t i) const { return i - begin - (lead == Lead::kInserted ? 0 : 1); }

  bool operator==(const Window&) const = default;
};

}  // namespace lmbits
