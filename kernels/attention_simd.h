// The body of causal_attention(), over a class `S` of vector operations (see simd_math.h).
//
// Keys and values of a head are packed once: keys transposed into panels of two vectors of positions, values as dense
// rows of whole vectors. Then a tile of kTileRows queries at a time: scores against every panel up to the diagonal, the
// softmax of each row while it lies in cache, and the product with the values. Both products are multiply_tile's; what
// lies above the diagonal is at most a tile and a panel a row.
#pragma once
#include "kernels/attention.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

template <class S>
constexpr int kSoftmaxRows = S::kTileRows > 4 ? S::kTileRows / 3 : S::kTileRows;

inline std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

// Where the packed head and a tile's rows lie in the workspace.
template <class S>
struct AttentionScratch {
  AttentionScratch(const AttentionShape& shape, float* memory)
      : panel(2 * S::kLanes),
        padded_positions(round_up(shape.n_positions, panel)),
        padded_head(round_up(shape.head_size, S::kLanes)),
        score_stride(padded_positions + S::kLanes) {
    const auto take = [&](std::int64_t n) {
      float* part = memory == nullptr ? nullptr : memory + size;
      size += round_up(n, S::kLanes);
      return part;
    };
    keys = take(padded_positions * shape.head_size);
    values = take(shape.n_positions * padded_head);
    scores = take(S::kTileRows * score_stride);
    queries = take(S::kTileRows * shape.head_size);
  }

  std::int64_t panel, padded_positions, padded_head;
  std::int64_t
      score_stride;       // a vector more than the row: powers of two would put all rows into a few sets of the cache
  std::int64_t size = 0;  // floats in all
  float* keys;            // [T / panel][S][panel]
  float* values;          // [T][padded S]
  float* scores;          // [kTileRows][score_stride]
  float* queries;         // [kTileRows][S], times scale * log2(e): scores are logarithms to base 2
};

// A pair of a rotated head: (p cos - q sin, q cos + p sin).
template <class S>
[[gnu::always_inline]] inline void rotate_pair(typename S::Vector& p, typename S::Vector& q, typename S::Vector cos,
                                               typename S::Vector sin) {
  const typename S::Vector minus_sin = S::subtract(S::fill(0.0F), sin), unrotated = p;
  p = S::multiply_add(q, minus_sin, S::multiply(p, cos));
  q = S::multiply_add(unrotated, sin, S::multiply(q, cos));
}

// x[t][s ...] and, where it is rotated, its partners half a head on: up to kLanes of each.
template <class S>
[[gnu::always_inline]] inline void load_rotated(const float* x, std::int64_t t, std::int64_t s, std::int64_t half,
                                                Rotation by, typename S::Vector& p, typename S::Vector& q) {
  p = load_until<S>(x + s, half - s);
  if (by.cos == nullptr) return;
  q = load_until<S>(x + half + s, half - s);
  const std::int64_t at = t * half + s;
  rotate_pair<S>(p, q, load_until<S>(by.cos + at, half - s), load_until<S>(by.sin + at, half - s));
}

// Columns that load_rotated's first vectors go through: the rest are their partners.
inline std::int64_t first_part(const AttentionShape& shape, Rotation by) {
  return by.cos == nullptr ? shape.head_size : shape.head_size / 2;
}

// keys[panel][s][lane] = k[panel * 2 kLanes + lane][s], 0 behind the last position.
template <class S>
void pack_keys(const float* k, std::int64_t stride, const AttentionShape& shape, Rotation by,
               const AttentionScratch<S>& to) {
  constexpr std::int64_t kLanes = S::kLanes;
  const std::int64_t half = first_part(shape, by);
  for (std::int64_t t = 0; t < to.padded_positions; t += kLanes) {
    float* packed = to.keys + t / to.panel * to.panel * shape.head_size + t % to.panel;
    const std::int64_t n_rows = smaller(kLanes, shape.n_positions - t);
    for (std::int64_t s = 0; s < half; s += kLanes) {
      const std::int64_t n_columns = smaller(kLanes, half - s);
      typename S::Vector rows[kLanes], partners[kLanes];
      for (std::int64_t i = 0; i < kLanes; ++i) {
        rows[i] = partners[i] = S::fill(0.0F);
        if (i < n_rows) load_rotated<S>(k + (t + i) * stride, t + i, s, half, by, rows[i], partners[i]);
      }
      S::transpose(rows);
      for (std::int64_t i = 0; i < n_columns; ++i) S::store(packed + (s + i) * to.panel, rows[i]);
      if (half == shape.head_size) continue;
      S::transpose(partners);
      for (std::int64_t i = 0; i < n_columns; ++i) S::store(packed + (half + s + i) * to.panel, partners[i]);
    }
  }
}

template <class S>
void pack_values(const float* v, std::int64_t stride, const AttentionShape& shape, const AttentionScratch<S>& to) {
  for (std::int64_t t = 0; t < shape.n_positions; ++t) {
    for (std::int64_t s = 0; s < to.padded_head; s += S::kLanes) {
      const float* row = v + t * stride + s;
      S::store(to.values + t * to.padded_head + s, load_until<S>(row, shape.head_size - s));
    }
  }
}

// kRows rows of scores -> 2^(score - max) and 1 / their sum: of row i the first n[i] scores, 0 from there to `end`, a
// multiple of the lanes. Rows go through together, so that one's latencies hide behind another's.
template <class S, int kRows>
void softmax_rows(float* scores, std::int64_t stride, const std::int64_t* n, std::int64_t end, float* factors) {
  constexpr std::int64_t kLanes = S::kLanes;
  using Vector = typename S::Vector;
  const Vector nothing = S::fill(kMinusInfinity);
  Vector maxima[kRows], sums[kRows];
  repeat<kRows>([&](auto i) LMBITS_INLINE {  // the lanes behind the diagonal take no part
    float* row = scores + i.value * stride;
    std::int64_t at = n[i.value] / kLanes * kLanes;
    if (at < n[i.value]) {
      S::store(row + at, S::load_first(row + at, n[i.value] - at, nothing));
      at += kLanes;
    }
    for (; at < end; at += kLanes) S::store(row + at, nothing);
    maxima[i.value] = nothing;
    sums[i.value] = S::fill(0.0F);
  });
  for (std::int64_t at = 0; at < end; at += kLanes) {
    repeat<kRows>([&](auto i) LMBITS_INLINE {
      maxima[i.value] = S::max_or_second(S::load(scores + i.value * stride + at), maxima[i.value]);
    });
  }
  repeat<kRows>([&](auto i) LMBITS_INLINE { maxima[i.value] = S::fill(S::reduce_max(maxima[i.value])); });
  for (std::int64_t at = 0; at < end; at += kLanes) {
    repeat<kRows>([&](auto i) LMBITS_INLINE {
      float* score = scores + i.value * stride + at;
      const Vector power =
          add_power<S>(S::subtract(S::load(score), maxima[i.value]), 1.0F, kSmallestPower, S::fill(0.0F));
      S::store(score, power);
      sums[i.value] = S::add(sums[i.value], power);
    });
  }
  repeat<kRows>([&](auto i)
                    LMBITS_INLINE { factors[i.value] = static_cast<float>(1.0 / S::reduce_add(sums[i.value])); });
}

// kVectors vectors of columns of out = probabilities * values * factors, for the tile's first n_rows rows.
template <class S, int kVectors>
void weigh_values(const AttentionScratch<S>& from, std::int64_t column, std::int64_t n_keys, const float* factors,
                  std::int64_t head_size, std::int64_t n_rows, float* out, std::int64_t out_stride) {
  multiply_tile<S, S::kTileRows, kVectors>(from.scores, from.score_stride, from.values + column, from.padded_head,
                                           n_keys, [&](int i, typename S::Vector(&sums)[kVectors]) LMBITS_INLINE {
                                             if (i >= n_rows) return;
                                             const typename S::Vector factor = S::fill(factors[i]);
                                             repeat<kVectors>([&](auto j) LMBITS_INLINE {
                                               const std::int64_t at = column + j.value * S::kLanes;
                                               store_until<S>(out + i * out_stride + at, head_size - at,
                                                              S::multiply(sums[j.value], factor));
                                             });
                                           });
}

// A tile of queries from position `first` on, rotated and scaled. A row too many repeats the last.
template <class S>
void take_queries(const AttentionShape& shape, const float* q, std::int64_t stride, std::int64_t first,
                  std::int64_t n_rows, Rotation by, const AttentionScratch<S>& to) {
  const typename S::Vector scale = S::fill(shape.scale * kLog2E);
  const std::int64_t half = first_part(shape, by);
  for (std::int64_t i = 0; i < S::kTileRows; ++i) {
    const std::int64_t t = first + smaller(i, n_rows - 1);
    float* row = to.queries + i * shape.head_size;
    for (std::int64_t s = 0; s < half; s += S::kLanes) {
      typename S::Vector a, b = scale;
      load_rotated<S>(q + t * stride, t, s, half, by, a, b);
      store_until<S>(row + s, half - s, S::multiply(scale, a));
      if (by.cos != nullptr) store_until<S>(row + half + s, half - s, S::multiply(scale, b));
    }
  }
}

// The queries of one head from position `first` on, a tile of them.
template <class S>
void attend_tile(const AttentionShape& shape, const AttentionScratch<S>& with, std::int64_t first, const float* q,
                 std::int64_t q_stride, Rotation rotation, float* out, std::int64_t out_stride) {
  constexpr int kRows = S::kTileRows;
  const std::int64_t n_rows = smaller(kRows, shape.n_positions - first);
  take_queries<S>(shape, q, q_stride, first, n_rows, rotation, with);
  const std::int64_t n_keys = first + n_rows;
  const auto score = [&](auto n_vectors, std::int64_t key) {
    using Sums = typename S::Vector(&)[n_vectors.value];
    multiply_tile<S, kRows, n_vectors.value>(
        with.queries, shape.head_size, with.keys + key * shape.head_size, with.panel, shape.head_size,
        [&](int i, Sums sums) LMBITS_INLINE {
          float* row = with.scores + i * with.score_stride + key;
          repeat<n_vectors.value>([&](auto j) LMBITS_INLINE { S::store(row + j.value * S::kLanes, sums[j.value]); });
        });
  };
  std::int64_t key = 0;
  for (; key + S::kLanes < n_keys; key += with.panel) score(Count<2>{}, key);
  if (key < n_keys) score(Count<1>{}, key);
  float factors[kRows];
  std::int64_t n[kRows];  // scores of each row
  for (std::int64_t i = 0; i < kRows; ++i) n[i] = smaller(first + i + 1, n_keys);
  for (int i = 0; i < kRows; i += kSoftmaxRows<S>) {
    softmax_rows<S, kSoftmaxRows<S>>(with.scores + i * with.score_stride, with.score_stride, n + i,
                                     round_up(n_keys, S::kLanes), factors + i);
  }
  std::int64_t column = 0;
  for (; column + 2 * S::kLanes <= with.padded_head; column += 2 * S::kLanes) {
    weigh_values<S, 2>(with, column, n_keys, factors, shape.head_size, n_rows, out + first * out_stride, out_stride);
  }
  if (column < with.padded_head) {
    weigh_values<S, 1>(with, column, n_keys, factors, shape.head_size, n_rows, out + first * out_stride, out_stride);
  }
}

template <class S>
std::int64_t attention_scratch(const AttentionShape& shape) {
  return AttentionScratch<S>(shape, nullptr).size;
}

template <class S>
void attend(const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k, HeadsView<const float> v,
            HeadsView<float> out, float* workspace, const std::int64_t* first_query, Rotation rotation) {
  const AttentionScratch<S> scratch(shape, workspace);
  const std::int64_t group = shape.n_heads / shape.n_kv_heads;
  for (std::int64_t b = 0; b < shape.n_sequences; ++b) {
    const std::int64_t start = first_query == nullptr ? 0 : first_query[b] / S::kTileRows * S::kTileRows;
    for (std::int64_t kv = 0; kv < shape.n_kv_heads; ++kv) {
      pack_keys<S>(k.at(b, kv), k.position_stride, shape, rotation, scratch);
      pack_values<S>(v.at(b, kv), v.position_stride, shape, scratch);
      for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        for (std::int64_t first = start; first < shape.n_positions; first += S::kTileRows) {
          attend_tile<S>(shape, scratch, first, q.at(b, h), q.position_stride, rotation, out.at(b, h),
                         out.position_stride);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lmbits::kernels
