#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "kernels/nll.h"
#include "kernels/nll_isa.h"

namespace lmbits::kernels {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Brings the sum of what came before to a new maximum. A sum of 0 has seen nothing but -inf, whose maximum is -inf too.
void raise_max(NllState& s, float max) {
  if (s.sum != 0.0 && max != s.max) s.sum *= std::exp2(kLog2E * (double{s.max} - max));
  s.max = max;
}

void take_target(const float* row, std::int32_t target, NllState& s, const NllTile& tile) {
  const std::int64_t column = target - tile.first_col;
  if (column >= 0 && column < tile.n_cols) s.target = row[column];
}

using BlockFunction = NllBlock (*)(const float* x, std::int64_t n, float max);

void update(BlockFunction block, const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  for (std::int64_t i = 0; i < tile.n_rows; ++i) {
    const float* row = logits + i * tile.stride;
    NllState& s = state[i];
    for (std::int64_t begin = 0; begin < tile.n_cols; begin += kNllBlock) {
      const NllBlock part = block(row + begin, std::min(kNllBlock, tile.n_cols - begin), s.max);
      raise_max(s, part.max);
      s.sum += part.sum;
    }
    take_target(row, targets[i], s, tile);
  }
}

}  // namespace

void nll_init(NllState* state, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < n_rows; ++i) state[i] = {0.0, -kInfinity, kNaN};
}

void nll_update_reference(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  for (std::int64_t i = 0; i < tile.n_rows; ++i) {
    const float* row = logits + i * tile.stride;
    NllState& s = state[i];
    float max = s.max;
    for (std::int64_t v = 0; v < tile.n_cols; ++v) max = std::fmax(max, row[v]);  // passes over NaN: the sum takes it
    raise_max(s, max);
    for (std::int64_t v = 0; v < tile.n_cols; ++v) {
      if (row[v] != -kInfinity) s.sum += std::exp2(kLog2E * (double{row[v]} - max));  // -inf - -inf would be NaN
    }
    take_target(row, targets[i], s, tile);
  }
}

void nll_update_isa(Isa isa, const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  update(bodies(isa).nll_block, logits, targets, state, tile);
}

void nll_update(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  static const BlockFunction block = bodies(best_isa()).nll_block;
  update(block, logits, targets, state, tile);
}

void nll_finish(const NllState* state, double* bits, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < n_rows; ++i) {
    bits[i] = std::log2(state[i].sum) + kLog2E * (double{state[i].max} - state[i].target);
  }
}

const char* nll_isa() { return isa_name(best_isa()); }

}  // namespace lmbits::kernels
