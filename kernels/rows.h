// Maps of single rows that stand between the products of a transformer block.
#pragma once
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/isa.h"

namespace lmbits::kernels {

// y[r] = x[r] * gain / sqrt(mean(x[r]^2) + eps), x, y [R, n] dense, gain [n]; the mean in double (RMSNorm: Zhang and
// Sennrich 2019, arXiv:1910.07467). std::logic_error where the machine lacks isa.
void rms_norm(Isa isa, const float* x, std::int64_t n_rows, std::int64_t n, const float* gain, float eps, float* y);

// Rotary position embedding of whole heads (Su et al. 2021, arXiv:2104.09864), the pairs half a head apart:
//
//   y[i] = x[i] cos[t][i] - x[i + n] sin[t][i],   y[i + n] = x[i + n] cos[t][i] + x[i] sin[t][i],   0 <= i < n = S / 2
//
// x, y [B, H, T, S] as views (n_heads counts; n_kv_heads and scale of the shape are not looked at), cos and sin [T, n]
// dense. fp32. std::logic_error where the machine lacks isa.
void rotate_heads(Isa isa, const AttentionShape& shape, HeadsView<const float> x, const float* cos, const float* sin,
                  HeadsView<float> y);

}  // namespace lmbits::kernels
