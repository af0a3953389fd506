// The windows of a convention over one sequence x: pure functions of its fields and the number of ids.
//
// Here x is what the convention says it is (scope, prepend_lead, lead_each_document), n = n_ids = |x| with every lead
// in it, W the window and s the stride. Every window scores something, no id is scored twice, windows score in order.
//
//   default, lmic  window k feeds x[ks, min(ks + W, n - 1)); x[1, n) is scored, each id in the first window that
//                  predicts it, with min(i, W - s + 1) ids of context or more
//   lm-eval        targets in blocks of W from x[1]; the block that ends before e is fed x[max(e - 1 - W, 0), e - 1)
//   hkust          window k feeds x[ks, ks + W) and scores its last s targets, window 0 all W; only whole windows
//   llama-ppl      chunk k is x[kW, (k + 1)W); its second half is scored, W - 1 - floor(W / 2) ids; n >= 2W
//   gptq           chunk k is x[kW, (k + 1)W); all but its first id are scored
//   uncheatable    chunk k is x[kW, min((k + 1)W, n)); all of it is scored (kReplaced: all but its first id)
//
// An id whose row nobody reads (the last of a chunk) is not fed, although some of the published programs do.
#pragma once
#include <cstdint>
#include <vector>

#include "src/conventions/convention.h"

namespace lmbits {

// How many windows x has. O(1).
std::int64_t n_windows(const Convention& convention, std::int64_t n_ids);

// Window k of n_windows(convention, n_ids). O(1): a long x can be planned piece by piece, and resumed at any window.
Window window_at(const Convention& convention, std::int64_t n_ids, std::int64_t k);

// All of them: window_at for k = 0, 1, ...
std::vector<Window> plan(const Convention& convention, std::int64_t n_ids);

// The fewest ids that give a window.
std::int64_t min_ids(const Convention& convention);

// Throws Error(kData), with both numbers, where n_ids < min_ids(convention): for a stream too short to have a number. A
// document too short for a window is no error; it has 0 scored tokens.
void require_windows(const Convention& convention, std::int64_t n_ids);

}  // namespace lmbits
