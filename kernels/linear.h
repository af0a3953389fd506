// A linear map of rows with what stands before and after it in a transformer block, in one pass over the activations.
//
//   y[r] = (residual[r]) + f(n(x[r]) W^T)                        plain: f(u) = u
//   n(x) = x * g / sqrt(mean(x^2) + eps)   where norm_eps is set (RMSNorm: Zhang and Sennrich 2019, arXiv:1910.07467)
//   f([a, b]) = a * sigmoid(a) * b         where gated           (SwiGLU: Shazeer 2020, arXiv:2002.05202)
//
// The weight is packed once, for the instruction set that will multiply; g is folded into it.
// Shapes:  x [R, n_in], residual and y [R, n_out], row-major and dense. W [n_out, n_in]; gated: [2 n_out, n_in], the
//          rows of a first. fp32 with fp32 sums, in ascending order of the inputs.
// A row of y depends on that row of x (and residual) alone: not on R, nor on its place. y may not overlap x or residual.
#pragma once
#include <cstdint>
#include <optional>

#include "kernels/isa.h"

namespace lmbits::kernels {

struct Linear {
  std::int64_t n_in;
  std::int64_t n_out;
  bool gated = false;
  std::optional<float> norm_eps = std::nullopt;
};

// Floats that pack_linear writes.
std::int64_t packed_size(Isa isa, const Linear& map);

// `gain` is g [n_in], or null for 1.
void pack_linear(Isa isa, const Linear& map, const float* weight, const float* gain, float* packed);

// `packed` by pack_linear for the same isa and map; `residual` may be null. std::logic_error where the machine lacks isa.
void linear(Isa isa, const Linear& map, const float* packed, const float* x, std::int64_t n_rows, const float* residual,
            float* y);

// The same from the weight as it is, in double arithmetic: what the tests compare with.
void linear_reference(const Linear& map, const float* weight, const float* gain, const float* x, std::int64_t n_rows,
                      const float* residual, double* y);

}  // namespace lmbits::kernels
