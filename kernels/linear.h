// A linear map of rows with what stands before and after it in a transformer block, in one pass over the activations.
//
//   y[r] = (residual[r]) + f(n(x[r]) W^T)                        plain: f(u) = u
//   n(x) = x * g / sqrt(mean(x^2) + eps)   where norm_eps is set (RMSNorm: Zhang and Sennrich 2019, arXiv:1910.07467)
//   f([a, b]) = a * sigmoid(a) * b         where gated           (SwiGLU: Shazeer 2020, arXiv:2002.05202)
//
// The weight is packed once, for the instruction set that will multiply; g is folded into it.
// W is kept as float32, or rounded to what takes less memory:
//   kBFloat16   each element to the nearest bfloat16 (8 significant bits): within 2^-8 of itself; from 2^128 - 2^119 on, infinite
//   kInt8       s_o round(w / s_o), s_o = max |w| of an output o / 127: within s_o / 2 of itself
// and expanded to float32, a part at a time, when it is multiplied: x and the sums are float32 always.
// Shapes:  x [R, n_in], residual and y [R, n_out], row-major and dense. W [n_out, n_in]; gated: [2 n_out, n_in], the
//          rows of a first. fp32 with fp32 sums, in ascending order of the inputs.
// A row of y depends on that row of x (and residual) alone: not on R, nor on its place. y may not overlap x or residual.
#pragma once
#include <cstdint>
#include <optional>

#include "kernels/isa.h"

namespace lmbits::kernels {

enum class WeightFormat { kFloat32, kBFloat16, kInt8 };

struct Linear {
  std::int64_t n_in;
  std::int64_t n_out;
  bool gated = false;
  std::optional<float> norm_eps = std::nullopt;
  WeightFormat format = WeightFormat::kFloat32;
};

// Bytes that pack_linear writes.
std::int64_t packed_bytes(Isa isa, const Linear& map);

// `gain` is g [n_in], or null for 1; `packed` is aligned for floats. An output with a weight that is not finite is NaN in kInt8.
void pack_linear(Isa isa, const Linear& map, const float* weight, const float* gain, void* packed);

// `packed` by pack_linear for the same isa and map; `residual` may be null. std::logic_error where the machine lacks isa.
void linear(Isa isa, const Linear& map, const void* packed, const float* x, std::int64_t n_rows, const float* residual,
            float* y);

// The same from the weight as it is, in double arithmetic: what the tests compare with.
void linear_reference(const Linear& map, const float* weight, const float* gain, const float* x, std::int64_t n_rows,
                      const float* residual, double* y);

}  // namespace lmbits::kernels
