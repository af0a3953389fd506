// The body of linear(), over a class `S` of vector operations (see simd_math.h).
//
// The packed weight is a row of panels, each [n_in][2 vectors]: two vectors of adjacent outputs, or of a gate and its
// value. A panel (at most a few hundred KiB) stays in cache while kRowBlock rows pass by, a tile of kTileRows at a time;
// meanwhile the next one is fetched. Of a rounded weight a chunk of a panel is expanded at a time, and the tiles' sums wait in
// memory for the next chunk.
#pragma once
#include "kernels/linear.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

constexpr std::int64_t kRowBlock = 120;  // whole tiles of every instruction set; they stay in the second-level cache
constexpr std::int64_t kChunk = 256;     // inputs of a panel that are expanded at a time

template <class S>
std::int64_t linear_panels(const Linear& map) {
  const std::int64_t width = map.gated ? S::kLanes : 2 * S::kLanes;
  return (map.n_out + width - 1) / width;
}

// Nearest bfloat16, ties to even; NaN stays NaN.
inline std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

// s_o of n weights at(i): NaN where one of them is not finite, 1 where all are 0.
template <class At>
float int8_scale(std::int64_t n, At at) {
  float max = 0.0F, nothing = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = at(i), size = value < 0.0F ? -value : value;
    nothing += 0.0F * value;
    max = size > max ? size : max;
  }
  return (max > 0.0F ? max / 127.0F : 1.0F) + nothing;
}

inline std::int8_t to_int8(float value, float scale) {
  const float x = value / scale;
  if (!(x >= -127.5F && x <= 127.5F)) return 0;  // its scale is NaN
  return static_cast<std::int8_t>(x < 0.0F ? x - 0.5F : x + 0.5F);
}

// The weights of a lane of a panel, null where there is none: outputs adjacent, or a gate's and behind them its value's.
template <class S>
const float* lane_weights(const Linear& map, const float* weight, std::int64_t panel, std::int64_t lane) {
  const std::int64_t out = map.gated ? panel * S::kLanes + lane % S::kLanes : panel * 2 * S::kLanes + lane;
  const std::int64_t row = map.gated && lane >= S::kLanes ? map.n_out + out : out;
  return out < map.n_out ? weight + row * map.n_in : nullptr;
}

// Squares of kLanes outputs and inputs, turned.
template <class S>
void pack_floats(const Linear& map, const float* weight, const float* gain, float* packed) {
  constexpr std::int64_t kLanes = S::kLanes;
  for (std::int64_t half = 0; half < 2 * linear_panels<S>(map); ++half) {
    float* const to = packed + half / 2 * map.n_in * 2 * kLanes + half % 2 * kLanes;
    for (std::int64_t i = 0; i < map.n_in; i += kLanes) {
      typename S::Vector square[kLanes];
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const float* row = lane_weights<S>(map, weight, half / 2, half % 2 * kLanes + lane);
        square[lane] = row == nullptr ? S::fill(0.0F) : load_until<S>(row + i, map.n_in - i);
        if (gain != nullptr) square[lane] = S::multiply(square[lane], load_until<S>(gain + i, map.n_in - i));
      }
      S::transpose(square);
      for (std::int64_t k = 0; k < smaller(kLanes, map.n_in - i); ++k) S::store(to + (i + k) * 2 * kLanes, square[k]);
    }
  }
}

// A format's elements lie as the floats would, kInt8's scales [panels][2 vectors] behind them.
template <class S>
void pack_linear_weight(const Linear& map, const float* weight, const float* gain, void* packed) {
  constexpr std::int64_t kWidth = 2 * S::kLanes;
  if (map.format == WeightFormat::kFloat32) return pack_floats<S>(map, weight, gain, static_cast<float*>(packed));
  const std::int64_t n_panels = linear_panels<S>(map), n = map.n_in;
  auto* const halves = static_cast<std::uint16_t*>(packed);
  auto* const bytes = static_cast<std::int8_t*>(packed);
  for (std::int64_t panel = 0; panel < n_panels; ++panel) {
    for (std::int64_t lane = 0; lane < kWidth; ++lane) {
      const float* row = lane_weights<S>(map, weight, panel, lane);
      const auto at = [&](std::int64_t i) {
        return row == nullptr ? 0.0F : gain == nullptr ? row[i] : row[i] * gain[i];
      };
      const auto place = [&](std::int64_t i) { return (panel * n + i) * kWidth + lane; };
      if (map.format == WeightFormat::kBFloat16) {
        for (std::int64_t i = 0; i < n; ++i) halves[place(i)] = to_bfloat16(at(i));
      } else {
        const float scale = int8_scale(n, at);
        for (std::int64_t i = 0; i < n; ++i) bytes[place(i)] = to_int8(at(i), scale);
        reinterpret_cast<float*>(bytes + n_panels * n * kWidth)[panel * kWidth + lane] = scale;
      }
    }
  }
}

// Inputs [k, k + n_k) of a panel: where they are, or expanded to `chunk`, n_k at most kChunk.
template <class S>
const float* panel_chunk(const Linear& map, const void* packed, std::int64_t panel, std::int64_t k, std::int64_t n_k,
                         float* chunk) {
  constexpr std::int64_t kWidth = 2 * S::kLanes;
  const std::int64_t begin = (panel * map.n_in + k) * kWidth;
  if (map.format == WeightFormat::kFloat32) return static_cast<const float*>(packed) + begin;
  if (map.format == WeightFormat::kBFloat16) {
    const auto* from = static_cast<const std::uint16_t*>(packed) + begin;
    for (std::int64_t i = 0; i < n_k * kWidth; i += S::kLanes) S::store(chunk + i, S::load_bfloat16(from + i));
    return chunk;
  }
  const auto* bytes = static_cast<const std::int8_t*>(packed);
  const auto* scales =
      reinterpret_cast<const float*>(bytes + linear_panels<S>(map) * map.n_in * kWidth) + panel * kWidth;
  const typename S::Vector low = S::load(scales), high = S::load(scales + S::kLanes);
  for (std::int64_t i = 0; i < n_k * kWidth; i += kWidth) {
    S::store(chunk + i, S::multiply(low, S::load_int8(bytes + begin + i)));
    S::store(chunk + i + S::kLanes, S::multiply(high, S::load_int8(bytes + begin + i + S::kLanes)));
  }
  return chunk;
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

// Rows of x against a chunk of a panel, kBegin: its first. factors [kRows]; `out` is the panel's first output. The sums wait
// in `sums` [kRows][2 vectors] until the last chunk. `ahead`: what add_products fetches.
template <class S, int kRows, bool kBegin, bool kGated, bool kNormed>
void linear_tile(const Linear& map, const float* x, const float* chunk, std::int64_t n_k, bool is_last, float* sums,
                 const float* factors, const float* residual, std::int64_t out, float* y, const float* ahead) {
  using Vector = typename S::Vector;
  constexpr int kVectors = kGated ? 1 : 2;
  const std::int64_t left = map.n_out - out;
  Vector total[kRows][2];
  const auto each = [&](auto use) LMBITS_INLINE {
    repeat<2 * kRows>([&](auto n) LMBITS_INLINE { use(total[n.value / 2][n.value % 2], sums + n.value * S::kLanes); });
  };
  repeat<kRows * kVectors>([&](auto n) LMBITS_INLINE {  // a store to what is far away would hold up the next tile
    const std::int64_t at = n.value / kVectors * map.n_out + out + n.value % kVectors * S::kLanes;
    __builtin_prefetch(y + at, 1);
    if (residual != nullptr) __builtin_prefetch(residual + at);
  });
  if (!kBegin) each([](Vector& sum, const float* from) LMBITS_INLINE { sum = S::load(from); });
  add_products<S, kBegin, true>(x, map.n_in, chunk, 2 * S::kLanes, n_k, total, ahead);
  if (!is_last) return each([](const Vector& sum, float* to) LMBITS_INLINE { S::store(to, sum); });
  repeat<kRows>([&](auto i) LMBITS_INLINE {
    Vector(&row)[2] = total[i.value];
    if (kNormed) {
      const Vector factor = S::fill(factors[i.value]);
      row[0] = S::multiply(row[0], factor);
      row[1] = S::multiply(row[1], factor);
    }
    if (kGated) row[0] = gate<S>(row[0], row[1]);
    repeat<kVectors>([&](auto j) LMBITS_INLINE {
      const std::int64_t at = i.value * map.n_out + out + j.value * S::kLanes;
      if (left < (j.value + 1) * S::kLanes) {
        store_last<S>(y + at, residual == nullptr ? nullptr : residual + at, left - j.value * S::kLanes, row[j.value]);
      } else {
        S::store(y + at, residual == nullptr ? row[j.value] : S::add(row[j.value], S::load(residual + at)));
      }
    });
  });
}

template <class S, bool kGated, bool kNormed>
void linear_blocks(const Linear& map, const void* packed, const float* x, std::int64_t n_rows, const float* residual,
                   float* y) {
  constexpr std::int64_t kTile = S::kTileRows, kTileSums = kTile * 2 * S::kLanes;
  static_assert(kRowBlock % kTile == 0);
  const std::int64_t width = kGated ? S::kLanes : 2 * S::kLanes, n_panels = linear_panels<S>(map);
  const std::int64_t n_chunks = map.format == WeightFormat::kFloat32 ? 1 : (map.n_in + kChunk - 1) / kChunk;
  const std::int64_t chunk = (map.n_in + n_chunks - 1) / n_chunks;
  alignas(64) float sums[(kRowBlock / kTile + 1) * kTileSums], expanded[kChunk * 2 * S::kLanes];
  float factors[kRowBlock + S::kLanes];
  for (std::int64_t block = 0; block < n_rows; block += kRowBlock) {
    // Rows that fill no tile are computed together with rows before them, once more: the same values.
    const std::int64_t first = n_rows - block < kTile && n_rows >= kTile ? n_rows - kTile : block;
    const std::int64_t end = smaller(block + kRowBlock, n_rows);
    if (kNormed) norm_factors<S>(x + first * map.n_in, end - first, map.n_in, *map.norm_eps, factors);
    for (std::int64_t panel = 0; panel < n_panels; ++panel) {
      for (std::int64_t k = 0; k < map.n_in; k += chunk) {
        const std::int64_t n_k = smaller(chunk, map.n_in - k);
        const float* weight = panel_chunk<S>(map, packed, panel, k, n_k, expanded);
        float* waiting = sums;
        // The first tiles fetch the next panel, one vector a step.
        const float* ahead =
            map.format == WeightFormat::kFloat32 && panel + 1 < n_panels ? weight + n_k * 2 * S::kLanes : weight;
        const float* const fetched = ahead + n_k * 2 * S::kLanes;
        const auto tile = [&](auto n_tile_rows, std::int64_t row) {
          const auto run = k == 0 ? linear_tile<S, n_tile_rows.value, true, kGated, kNormed>
                                  : linear_tile<S, n_tile_rows.value, false, kGated, kNormed>;
          run(map, x + row * map.n_in + k, weight, n_k, k + n_k == map.n_in, waiting, factors + (row - first),
              residual == nullptr ? nullptr : residual + row * map.n_out, panel * width, y + row * map.n_out,
              ahead < fetched ? ahead : weight);
          waiting += kTileSums;
          ahead += n_k * S::kLanes;
        };
        std::int64_t row = first;
        for (; row + kTile <= end; row += kTile) tile(Count<S::kTileRows>{}, row);
        if (row < end && end - first >= kTile)
          tile(Count<S::kTileRows>{}, end - kTile);
        else
          for (; row < end; ++row) tile(Count<1>{}, row);
      }
    }
  }
}

template <class S>
void linear_rows(const Linear& map, const void* packed, const float* x, std::int64_t n_rows, const float* residual,
                 float* y) {
  const auto blocks = map.gated ? (map.norm_eps ? linear_blocks<S, true, true> : linear_blocks<S, true, false>)
                                : (map.norm_eps ? linear_blocks<S, false, true> : linear_blocks<S, false, false>);
  blocks(map, packed, x, n_rows, residual, y);
}

}  // namespace
}  // namespace lmbits::kernels
