// Bits per token straight from hidden states: the states of nll.h with the logits made in registers and never stored.
//
//   z[r] = x[r] W^T,   state[r] = {sum_v e^(z_v - m), m = max_v z_v, z_target}
//
// The exponentials are taken while a tile of logits lies in registers, against a reference that follows the largest logit
// seen (and may lag behind it by kHeadSlack: the online normaliser of Milakov and Gimelshein 2018, arXiv:1805.02867, with
// fewer rescalings). Sums are fp32 over at most kNllBlock columns and double from there on.
// Shapes:  x [R, n_in] dense; W [V, n_in] by pack_linear, n_out = V; targets [R]; state [R] (need not be initialised).
// Errors:  as nll_update: NaN surfaces, a target outside [0, V) gives NaN bits.
// A row's state depends on that row alone: not on R, nor on its place.
#pragma once
#include <cstdint>

#include "kernels/linear.h"
#include "kernels/nll.h"

namespace lmbits::kernels {

// `packed` by pack_linear for the same isa and map, which has neither gate nor norm. std::logic_error where the machine
// lacks isa.
void head_nll(Isa isa, const Linear& map, const float* packed, const float* x, std::int64_t n_rows,
              const std::int32_t* targets, NllState* state);

}  // namespace lmbits::kernels
