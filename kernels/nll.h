// Bits per token from raw logits, a vocabulary tile at a time.
//
//   bits = log2(sum_v 2^(z_v - m)) + (m - z_target),   z = logit * log2(e),  m = max_v z_v
//
// In this order: (m + log2(sum)) - z_target loses 4e-4 to a common offset of 1e4, and -log2(softmax[target]) is +inf
// once the probability underflows. The running maximum and sum over tiles are the online normaliser of Milakov and
// Gimelshein 2018 (arXiv:1805.02867), in the log2 domain.
//
// Shapes:  logits [R, n_cols] fp32, row-major, `stride` elements between rows (>= n_cols). targets [R]. state [R].
// Errors:  a NaN logit, or a target outside [0, vocab) at finish, gives NaN bits: never a silent 0, and no read out of
//          bounds. A column of -inf is a token of probability 0; all -inf gives NaN; a target at -inf gives +inf.
#pragma once
#include <cstdint>

namespace lmbits::kernels {

// What is known of one row after some of its vocabulary.
struct NllState {
  double sum;    // of 2^(z - max) over the columns seen, 0 before the first
  float max;     // of the raw logits seen, -inf before the first
  float target;  // the target's raw logit; NaN until its column was seen
};

struct NllTile {
  std::int64_t n_rows;     // R
  std::int64_t n_cols;     // columns of this tile that are real vocabulary (padding excluded)
  std::int64_t stride;     // elements from one row to the next
  std::int64_t first_col;  // the vocabulary id of column 0
};

void nll_init(NllState* state, std::int64_t n_rows);

// Folds one tile into the state. fp32 within a tile's row, double across tiles. Vectorised, chosen at run time (see
// nll_isa); the result of a row depends on its own values, n_cols and the instruction set only.
void nll_update(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile);

// The same in plain double arithmetic: the reference that everything else is tested against.
void nll_update_reference(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile);

// bits[R] from the states.
void nll_finish(const NllState* state, double* bits, std::int64_t n_rows);

// The instruction set nll_update uses on this machine: "avx512", "avx2" or "scalar".
const char* nll_isa();

}  // namespace lmbits::kernels
