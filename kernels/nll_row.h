// How a row of logits becomes its bits, for the GPU, for its stand-in on the host and for tests: pure functions.
//
//   init -> fold(some columns) -> merge(others' columns) -> finish
//
// The state is {max of z, sum of 2^(z - max)} in the log2 domain, z = y * log2(e). `max` is y's maximum times log2(e),
// rounded once; that rounding cancels, because fold and finish subtract this very number from the unrounded y * log2(e)
// in one multiply-add. C++17: nvcc compiles it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define LMBITS_BOTH __host__ __device__ __forceinline__
#define LMBITS_UNROLL _Pragma("unroll")
#else
#define LMBITS_BOTH inline
#define LMBITS_UNROLL
#endif

namespace lmbits::kernels {

constexpr float kLog2EFloat = 1.44269504F;
constexpr float kLn2Float = 0.693147181F;

#if defined(__CUDA_ARCH__)
LMBITS_BOTH float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
LMBITS_BOTH float divide_approximate(float a, float b) { return __fdividef(a, b); }
LMBITS_BOTH float from_half_bits(std::uint32_t bits) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(static_cast<unsigned short>(bits)));
  return y;
}
LMBITS_BOTH float from_float_bits(std::uint32_t bits) { return __uint_as_float(bits); }
#else
// As coarse as the instruction may be by its manual: 2^-22 of the value, subnormal results flushed, 2^0 exact. The sign
// of the error alternates with the argument's bits.
inline float exp2_approximate(float x) {
  const float y = std::exp2(x);
  if (y < 1.17549435e-38F) return 0.0F;
  if (x == 0.0F) return y;
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const float error = y * 2.38418579e-7F;
  return ((bits * 2654435761U) >> 31) != 0 ? y + error : y - error;
}
inline float divide_approximate(float a, float b) { return a / b; }
inline float from_float_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline float from_half_bits(std::uint32_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16, exponent = (bits >> 10) & 31U, fraction = bits & 0x3ffU;
  if (exponent == 31) return from_float_bits(sign | 0x7f800000U | (fraction << 13));
  if (exponent != 0) return from_float_bits(sign | ((exponent + 112U) << 23) | (fraction << 13));
  const float small = static_cast<float>(fraction) * 5.96046448e-8F;  // subnormal: fraction * 2^-24
  return sign != 0 ? -small : small;
}
#endif

LMBITS_BOTH float minus_infinity() { return from_float_bits(0xff800000U); }
LMBITS_BOTH float not_a_number() { return from_float_bits(0x7fc00000U); }

// What a head does to a logit before the softmax.
struct LogitMap {
  float scale;    // 1: none
  float softcap;  // 0: none
};

// softcap * tanh(y / softcap), tanh(u) = (1 - e) / (1 + e), e = 2^(-2 |u| log2(e)): one exponential, absolute error 2.4e-7 of
// the cap.
LMBITS_BOTH float soft_capped(float y, float softcap) {
  const float e = exp2_approximate(fabsf(y) * (-2.0F * kLog2EFloat / softcap));
  return copysignf(softcap * divide_approximate(1.0F - e, 1.0F + e), y);
}

LMBITS_BOTH float map_logit(float logit, float bias, LogitMap map) {
  const float y = (logit + bias) * map.scale;
  return map.softcap == 0.0F ? y : soft_capped(y, map.softcap);
}

// Of some columns of a row.
struct RowSum {
  float max;
  float sum;
  float moment;  // sum of 2^(z - max) * (z - max), where entropy is asked for
};

LMBITS_BOTH RowSum row_init() { return {minus_infinity(), 0.0F, 0.0F}; }

// a's sums relative to `origin` instead of a.max.
template <bool kMoment>
LMBITS_BOTH void raise(RowSum& a, float origin) {
  const float drop = a.max - origin;
  const float factor = exp2_approximate(drop);
  if (kMoment) a.moment = factor > 0.0F ? fmaf(a.sum, drop, a.moment) * factor : 0.0F;
  a.sum *= factor;
}

// -inf - -inf is NaN, so where all is -inf so far 0 stands in for the maximum.
LMBITS_BOTH float origin_of(float max) { return max == minus_infinity() ? 0.0F : max; }

// Folds N columns in, one exponential each and one for the sum so far. fmaxf passes over a NaN; the sum takes it.
template <bool kMoment, int N>
LMBITS_BOTH void row_fold(RowSum& a, const float (&y)[N]) {
  float top = y[0];
  LMBITS_UNROLL
  for (int k = 1; k < N; ++k) top = fmaxf(top, y[k]);
  const float max = fmaxf(a.max, top * kLog2EFloat);
  const float origin = origin_of(max);
  raise<kMoment>(a, origin);
  float sums[4] = {0.0F, 0.0F, 0.0F, 0.0F};  // short chains: rounding grows with N / 4, not with the row
  LMBITS_UNROLL
  for (int k = 0; k < N; ++k) {
    const float exponent = fmaf(y[k], kLog2EFloat, -origin);
    const float term = exp2_approximate(exponent);
    sums[k % 4] += term;
    if (kMoment) a.moment += term > 0.0F ? term * exponent : 0.0F;
  }
  a.sum += (sums[0] + sums[1]) + (sums[2] + sums[3]);
  a.max = max;
}

template <bool kMoment>
LMBITS_BOTH RowSum row_merge(RowSum a, RowSum b) {
  const float max = fmaxf(a.max, b.max);
  const float origin = origin_of(max);
  raise<kMoment>(a, origin);
  raise<kMoment>(b, origin);
  return {max, a.sum + b.sum, a.moment + b.moment};
}

// target: y of the target. Rounding may end below 0, where no code length lies; a NaN stays one.
LMBITS_BOTH float row_bits(const RowSum& a, float target) {
  const float bits = log2f(a.sum) + fmaf(-target, kLog2EFloat, a.max);
  return bits < 0.0F ? 0.0F : bits;
}

LMBITS_BOTH float row_lse(const RowSum& a) { return (a.max + log2f(a.sum)) * kLn2Float; }

LMBITS_BOTH float row_entropy(const RowSum& a) { return log2f(a.sum) - a.moment / a.sum; }

// Is there no distribution: a NaN or +inf logit, or none above -inf?
LMBITS_BOTH bool row_is_bad(const RowSum& a) { return !(a.sum > 0.0F) || a.sum - a.sum != 0.0F; }

}  // namespace lmbits::kernels
