// The bodies of rows.h, over a class `S` of vector operations (see simd_math.h).
#pragma once
#include "kernels/attention_simd.h"
#include "kernels/linear_simd.h"
#include "kernels/rows.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

template <class S>
void rms_norm_rows(const float* x, std::int64_t n_rows, std::int64_t n, const float* gain, float eps, float* y) {
  float factors[kRowBlock + S::kLanes];
  for (std::int64_t row = 0; row < n_rows; ++row, x += n, y += n) {
    if (row % kRowBlock == 0) norm_factors<S>(x, smaller(kRowBlock, n_rows - row), n, eps, factors);
    const typename S::Vector factor = S::fill(factors[row % kRowBlock]);
    for (std::int64_t i = 0; i < n; i += S::kLanes) {
      const typename S::Vector scaled = S::multiply(load_until<S>(x + i, n - i), factor);
      store_until<S>(y + i, n - i, S::multiply(scaled, load_until<S>(gain + i, n - i)));
    }
  }
}

template <class S>
void rotate(const AttentionShape& shape, HeadsView<const float> x, const float* cos, const float* sin,
            HeadsView<float> y) {
  using Vector = typename S::Vector;
  const std::int64_t n = shape.head_size / 2;
  for (std::int64_t b = 0; b < shape.n_sequences; ++b) {
    for (std::int64_t t = 0; t < shape.n_positions; ++t) {
      for (std::int64_t h = 0; h < shape.n_heads; ++h) {
        const float* from = x.at(b, h) + t * x.position_stride;
        float* to = y.at(b, h) + t * y.position_stride;
        for (std::int64_t i = 0; i < n; i += S::kLanes) {
          const Vector c = load_until<S>(cos + t * n + i, n - i), s = load_until<S>(sin + t * n + i, n - i);
          Vector p = load_until<S>(from + i, n - i), q = load_until<S>(from + n + i, n - i);
          rotate_pair<S>(p, q, c, s);
          store_until<S>(to + i, n - i, p);
          store_until<S>(to + n + i, n - i, q);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lmbits::kernels
