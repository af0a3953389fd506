// The body of linear(), over a class `S` of vector operations (see simd_math.h).
//
// The packed weight is a row of panels, each [n_in][2 vectors]: two vectors of adjacent outputs, or of a gate and its
// value. A panel (at most a few hundred KiB) stays in cache while kRowBlock rows pass by, a tile of kTileRows at a time.
#pragma once
#include "kernels/linear.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

constexpr std::int64_t kRowBlock = 48;

template <class S>
std::int64_t linear_panels(const Linear& map) {
  const std::int64_t width = map.gated ? S::kLanes : 2 * S::kLanes;
  return (map.n_out + width - 1) / width;
}

template <class S>
void pack_linear_weight(const Linear& map, const float* weight, const float* gain, float* packed) {
  constexpr std::int64_t kLanes = S::kLanes;
  for (std::int64_t panel = 0; panel < linear_panels<S>(map); ++panel) {
    for (std::int64_t lane = 0; lane < 2 * kLanes; ++lane) {
      const bool value = map.gated && lane >= kLanes;
      const std::int64_t out = map.gated ? panel * kLanes + lane % kLanes : panel * 2 * kLanes + lane;
      const float* row = out < map.n_out ? weight + (value ? map.n_out + out : out) * map.n_in : nullptr;
      for (std::int64_t i = 0; i < map.n_in; ++i) {
        packed[(panel * map.n_in + i) * 2 * kLanes + lane] = row == nullptr    ? 0.0F
                                                             : gain == nullptr ? row[i]
                                                                               : row[i] * gain[i];
      }
    }
  }
}

// factors[r] = 1 / sqrt(mean(x[r]^2) + eps) for up to kRowBlock rows of n; `factors` has room for whole vectors.
template <class S>
void norm_factors(const float* x, std::int64_t n_rows, std::int64_t n, float eps, float* factors) {
  using Vector = typename S::Vector;
  for (std::int64_t row = 0; row < n_rows; ++row, x += n) {
    Vector a = S::fill(0.0F), b = a;
    std::int64_t i = 0;
    for (; i + 2 * S::kLanes <= n; i += 2 * S::kLanes) {
      const Vector v = S::load(x + i), w = S::load(x + i + S::kLanes);
      a = S::multiply_add(v, v, a);
      b = S::multiply_add(w, w, b);
    }
    for (; i < n; i += S::kLanes) {
      const Vector v = load_until<S>(x + i, n - i);
      a = S::multiply_add(v, v, a);
    }
    factors[row] = static_cast<float>(S::reduce_add(S::add(a, b)) / static_cast<double>(n));
  }
  for (std::int64_t row = n_rows; row % S::kLanes != 0; ++row) factors[row] = 1.0F;
  for (std::int64_t row = 0; row < n_rows; row += S::kLanes) {
    const Vector mean = S::add(S::load(factors + row), S::fill(eps));
    S::store(factors + row, S::divide(S::fill(1.0F), S::square_root(mean)));
  }
}

// a * sigmoid(a) * b; NaN where a is. e^87 is still finite, and a / e^87 as good as 0.
template <class S>
[[gnu::always_inline]] inline typename S::Vector gate(typename S::Vector a, typename S::Vector b) {
  const typename S::Vector minus_a = S::min_or_second(S::fill(-kSmallestExponent), S::subtract(S::fill(0.0F), a));
  return S::multiply(S::multiply(a, S::reciprocal(add_exponential<S>(minus_a, S::fill(1.0F)))), b);
}

// y = (residual) + value for the `end` first lanes, fewer than a vector. Rare, so kept out of the unrolled code.
template <class S>
[[gnu::noinline]] void store_last(float* y, const float* residual, std::int64_t end, typename S::Vector value) {
  if (end <= 0) return;
  store_until<S>(y, end, residual == nullptr ? value : S::add(value, load_until<S>(residual, end)));
}

// Rows of x against one panel. factors [kRows]; `out` is the panel's first output.
template <class S, int kRows, bool kGated, bool kNormed>
void linear_tile(const Linear& map, const float* x, const float* panel, const float* factors, const float* residual,
                 std::int64_t out, float* y) {
  using Vector = typename S::Vector;
  constexpr int kVectors = kGated ? 1 : 2;
  const std::int64_t left = map.n_out - out;
  multiply_tile<S, kRows, 2>(x, map.n_in, panel, 2 * S::kLanes, map.n_in, [&](int i, Vector(&sums)[2]) LMBITS_INLINE {
    if (kNormed) {
      const Vector factor = S::fill(factors[i]);
      sums[0] = S::multiply(sums[0], factor);
      sums[1] = S::multiply(sums[1], factor);
    }
    if (kGated) sums[0] = gate<S>(sums[0], sums[1]);
    repeat<kVectors>([&](auto j) LMBITS_INLINE {
      const std::int64_t at = i * map.n_out + out + j.value * S::kLanes;
      if (left < (j.value + 1) * S::kLanes) {
        store_last<S>(y + at, residual == nullptr ? nullptr : residual + at, left - j.value * S::kLanes, sums[j.value]);
      } else {
        S::store(y + at, residual == nullptr ? sums[j.value] : S::add(sums[j.value], S::load(residual + at)));
      }
    });
  });
}

template <class S, bool kGated, bool kNormed>
void linear_blocks(const Linear& map, const float* packed, const float* x, std::int64_t n_rows, const float* residual,
                   float* y) {
  const std::int64_t width = kGated ? S::kLanes : 2 * S::kLanes;
  const std::int64_t n_panels = linear_panels<S>(map);
  float factors[kRowBlock + S::kLanes];
  for (std::int64_t block = 0; block < n_rows; block += kRowBlock) {
    // Rows that fill no tile are computed together with rows before them, once more: the same values.
    const std::int64_t first = n_rows - block < S::kTileRows && n_rows >= S::kTileRows ? n_rows - S::kTileRows : block;
    const std::int64_t end = smaller(block + kRowBlock, n_rows);
    if (kNormed) norm_factors<S>(x + first * map.n_in, end - first, map.n_in, *map.norm_eps, factors);
    for (std::int64_t panel = 0; panel < n_panels; ++panel) {
      const float* weight = packed + panel * map.n_in * 2 * S::kLanes;
      const auto tile = [&](auto n_tile_rows, std::int64_t row) {
        linear_tile<S, n_tile_rows.value, kGated, kNormed>(map, x + row * map.n_in, weight, factors + (row - first),
                                                           residual == nullptr ? nullptr : residual + row * map.n_out,
                                                           panel * width, y + row * map.n_out);
      };
      std::int64_t row = first;
      for (; row + S::kTileRows <= end; row += S::kTileRows) tile(Count<S::kTileRows>{}, row);
      if (row < end && end - first >= S::kTileRows)
        tile(Count<S::kTileRows>{}, end - S::kTileRows);
      else
        for (; row < end; ++row) tile(Count<1>{}, row);
    }
  }
}

template <class S>
void linear_rows(const Linear& map, const float* packed, const float* x, std::int64_t n_rows, const float* residual,
                 float* y) {
  const auto blocks = map.gated ? (map.norm_eps ? linear_blocks<S, true, true> : linear_blocks<S, true, false>)
                                : (map.norm_eps ? linear_blocks<S, false, true> : linear_blocks<S, false, false>);
  blocks(map, packed, x, n_rows, residual, y);
}

}  // namespace
}  // namespace lmbits::kernels
