// Bits per token from rows of logits on a GPU, and their sums: kernels that read each logit once.
//
//   y = softcap * tanh(scale * (logit + bias) / softcap)      (each part optional)
//   bits = log2(sum_v 2^(z_v - m)) + (m - z_target),   z = y * log2(e),   m = max_v z_v
//
// A block of threads goes through a row with an online normaliser (Milakov and Gimelshein 2018, arXiv:1805.02867) and
// merges in a fixed tree, so a row's bits depend on its values, its type and n_cols alone: not on the other rows, the
// grid, the stride or the row's alignment. fp32 within a row, fp64 across rows.
//
// Shapes:  logits [R, n_cols] row-major, `stride` elements between rows (>= n_cols; what lies between is not read),
//          targets [R], bias [n_cols] fp32. Device pointers; those to logits aligned to an element, no more.
// Errors:  a NaN or +inf logit, a row of nothing but -inf, or a target outside the columns gives NaN bits and a bit in
//          `flags`; nothing outside the rows is read. A target at -inf gives +inf bits.
//          Of fp32 logits, those beyond 2.3e38 count as infinite.
//          std::logic_error: a negative extent, stride < n_cols, scale not above 0, softcap below 0, a null pointer, a
//          build without CUDA. std::runtime_error: the launch failed.
#pragma once
#include <cstdint>

namespace lmbits::kernels {

enum class LogitType { kFloat32, kBFloat16, kFloat16 };

struct NllRows {
  const void* logits;
  LogitType type;
  const float* bias;  // null: none
  const std::int32_t* targets;
  std::int64_t n_rows;     // R
  std::int64_t n_cols;     // columns that are real vocabulary (padding excluded)
  std::int64_t stride;     // elements from one row to the next
  std::int64_t first_col;  // the vocabulary id of column 0: 0, but for a tile
  float scale;             // 1: none
  float softcap;           // 0: none
};

// Bits of `flags`, which a kernel sets and never clears.
inline constexpr std::uint32_t kNllNotFinite = 1;  // a row with a NaN or +inf logit, or without any above -inf
inline constexpr std::uint32_t kNllBadTarget = 2;  // a target outside [0, n_cols)

struct NllRowsOut {
  float* bits;  // [R]
  float* lse;   // [R] ln(sum_v e^y_v), or null
  std::int32_t*
      rank;        // [R] how many columns lie above the target's: 0 is the most probable; -1 where bits is NaN. Or null
  float* entropy;  // [R] of the row's distribution, in bits, or null
  std::uint32_t* flags;  // [1], or null
};

// What is known of one row after some of its vocabulary: 16 bytes, the state of a tiled or sharded row.
struct NllRowState {
  float max;     // of z, -inf before the first column
  float sum;     // of 2^(z - max)
  float target;  // y of the target; NaN until its column was seen
  float padding;
};

// A stream is a cudaStream_t, null for the default one. n_blocks: of the grid, at most; 0 leaves it to the kernel. It
// changes no bit.
void nll_rows(const NllRows& in, const NllRowsOut& out, void* stream, std::int64_t n_blocks = 0);

// Folds a tile of columns into the states [R] of its rows. Tiles in the same order give the same bits.
void nll_tile_init(NllRowState* state, std::int64_t n_rows, void* stream);
void nll_tile_update(const NllRows& tile, NllRowState* state, void* stream, std::int64_t n_blocks = 0);

// One document's or block's sums over its rows.
struct NllSum {
  double bits;
  double bits_squared;
  std::int64_t n_rows;
  std::int64_t first_bad;  // the first row of it whose bits are not finite, counted from its beginning; -1: none
};

struct NllMerge {
  const NllRowState* states;  // [n_parts, R]: parts of the vocabulary, merged in this order; null: bits is read
  std::int64_t n_parts;
  std::int64_t n_rows;         // R
  const std::int64_t* begins;  // [n_segments + 1] ascending: segment s is rows [begins[s], begins[s + 1])
  std::int64_t n_segments;
};

// bits [R] from the states (where those are given), and the sums of each segment: fp64, in a fixed tree over the
// segment's rows, no atomics. `flags` as above.
void nll_merge_segsum(const NllMerge& in, float* bits, NllSum* sums, std::uint32_t* flags, void* stream,
                      std::int64_t n_blocks = 0);

// Was this library built with CUDA? Without, all of the above throw.
bool has_cuda_kernels();

// ---- the same in plain double arithmetic on host memory: what everything else is tested against.

struct NllRowReference {
  double bits, lse, entropy;
  std::int32_t rank;
};
struct NllStateReference {
  double max, sum, target;
};

void nll_rows_reference(const NllRows& in, NllRowReference* out, std::uint32_t* flags);
void nll_tile_update_reference(const NllRows& tile, NllStateReference* state);  // from {-inf, 0, NaN}
double nll_bits_reference(const NllStateReference* parts, std::int64_t n_parts);
void segment_sums_reference(const float* bits, const std::int64_t* begins, std::int64_t n_segments, NllSum* sums);

}  // namespace lmbits::kernels
