#include <cmath>
#include <limits>

#include "kernels/nll.h"

namespace lmbits::kernels {
namespace {
constexpr double kLog2E = 1.4426950408889634;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
}  // namespace

void nll_init(NllState* state, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < n_rows; ++i) state[i] = {0.0, -kInfinity, kNaN};
}

void nll_update_reference(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  for (std::int64_t i = 0; i < tile.n_rows; ++i) {
    const float* row = logits + i * tile.stride;
    NllState& s = state[i];
    float max = s.max;
    for (std::int64_t v = 0; v < tile.n_cols; ++v) max = std::fmax(max, row[v]);
    double sum = s.sum > 0.0 ? s.sum * std::exp2(kLog2E * (double{s.max} - max)) : s.sum;
    for (std::int64_t v = 0; v < tile.n_cols; ++v) sum += std::exp2(kLog2E * (double{row[v]} - max));
    s.sum = sum;
    s.max = max;
    const std::int64_t column = targets[i] - tile.first_col;
    if (column >= 0 && column < tile.n_cols) s.target = row[column];
  }
}

void nll_update(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) {
  nll_update_reference(logits, targets, state, tile);
}

void nll_finish(const NllState* state, double* bits, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < n_rows; ++i) {
    bits[i] = std::log2(state[i].sum) + kLog2E * (double{state[i].max} - state[i].target);
  }
}

const char* nll_isa() { return "scalar"; }

}  // namespace lmbits::kernels
