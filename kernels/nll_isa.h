// The parts of nll_update that differ by instruction set, and a way to name one, for tests and benches.
#pragma once
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/nll.h"

namespace lmbits::kernels {

// nll_update with one instruction set. std::logic_error where isa_available(isa) is false.
void nll_update_isa(Isa isa, const float* logits, const std::int32_t* targets, NllState* state, NllTile tile);

// A row is folded in blocks of this many columns, counted from its start: small enough to stay in L1 between the pass
// for the maximum and the pass for the sum, and for fp32 partial sums. Tiles cut at multiples of it change no bit.
inline constexpr std::int64_t kNllBlock = 2048;

// The sum of e^(x - max) over a block, and the maximum of a block and of what came before it.
struct NllBlock {
  double sum;  // NaN where a logit is NaN or +inf
  float max;
};

}  // namespace lmbits::kernels
