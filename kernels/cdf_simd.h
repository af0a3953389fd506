// The bodies of cdf.h, over a class `S` of vector operations (see simd_math.h).
#pragma once
#include "kernels/dispatch.h"
#include "kernels/nll_simd.h"

namespace lmbits::kernels {
namespace {

constexpr std::int64_t kCdfStep = 64;  // a constant number of turns, which the compiler makes vectors of

template <class S>
float row_max(const float* x, std::int64_t n) {
  using Vector = typename S::Vector;
  const Vector least = S::fill(kMinusInfinity);
  Vector maxima[4] = {least, least, least, least};
  fold_vectors<S>(x, n, maxima, [](Vector max, Vector v) { return S::max_or_second(v, max); });
  return S::reduce_max(
      S::max_or_second(S::max_or_second(maxima[0], maxima[1]), S::max_or_second(maxima[2], maxima[3])));
}

// e * scale to the nearest integer, by its place in the mantissa of 2^52 + e * scale; plus 1. 0 <= e * scale < 2^52.
inline std::uint64_t weight_of(float e, double scale) {
  return __builtin_bit_cast(std::uint64_t, static_cast<double>(e) * scale + 0x1p52) - 0x4330000000000000U + 1U;
}

// weights [n] of a block of at most kNllBlock logits; e and weights have room for a whole one.
template <class S>
CdfBlock cdf_block(const float* x, std::int64_t n, float max, double scale, float* __restrict e,
                   std::uint64_t* __restrict weights) {
  using Vector = typename S::Vector;
  const Vector origin = S::fill(max);
  Vector sum = S::fill(0.0F);
  for (std::int64_t i = 0; i < n; i += S::kLanes) {
    const Vector v = n - i >= S::kLanes ? S::load(x + i) : S::load_first(x + i, n - i, S::fill(kMinusInfinity));
    const Vector power = add_exponential<S>(S::subtract(v, origin), S::fill(0.0F));
    S::store(e + i, power);
    sum = S::add(sum, power);
  }
  std::uint64_t total = 0;
  std::int64_t i = 0;
  for (; i + kCdfStep <= n; i += kCdfStep) {
    for (int j = 0; j < kCdfStep; ++j) weights[i + j] = weight_of(e[i + j], scale);
    for (int j = 0; j < kCdfStep; ++j) total += weights[i + j];
  }
  for (; i < n; ++i) total += weights[i] = weight_of(e[i], scale);
  return {total, S::reduce_add(sum)};
}

}  // namespace
}  // namespace lmbits::kernels
