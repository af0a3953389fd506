// The bodies of keep_position() and attend_kept(), over a class `S` of vector operations (see simd_math.h).
//
// A head's keys and values lie as attention_simd.h packs them; a new position is a column of the keys and a row of the
// values. The arithmetic of a query is that of a row of a tile: products by multiply_tile, which sums a row the same
// whatever rows stand beside it, and the same softmax.
#pragma once
#include "kernels/attention_simd.h"

namespace lmbits::kernels {
namespace {

// The part of the cache that holds one head, as scratch memory whose first two parts are the keys and the values.
template <class S>
std::int64_t kept_head_size(const AttentionShape& shape) {
  const AttentionScratch<S> scratch(shape, nullptr);
  return round_up(scratch.padded_positions * shape.head_size, S::kLanes) +
         round_up(shape.n_positions * scratch.padded_head, S::kLanes);
}

template <class S>
std::int64_t attention_cache(const AttentionShape& shape) {
  return shape.n_kv_heads * kept_head_size<S>(shape);
}

template <class S>
void keep(const AttentionShape& shape, float* cache, std::int64_t position, const float* k, std::int64_t k_stride,
          const float* v, std::int64_t v_stride) {
  for (std::int64_t h = 0; h < shape.n_kv_heads; ++h) {
    const AttentionScratch<S> head(shape, cache + h * kept_head_size<S>(shape));
    float* column = head.keys + position / head.panel * head.panel * shape.head_size + position % head.panel;
    for (std::int64_t s = 0; s < shape.head_size; ++s) column[s * head.panel] = k[h * k_stride + s];
    for (std::int64_t s = 0; s < shape.head_size; s += S::kLanes) {
      S::store(head.values + position * head.padded_head + s, load_until<S>(v + h * v_stride + s, shape.head_size - s));
    }
  }
}

template <class S, int kVectors>
void weigh_kept(const float* scores, const AttentionScratch<S>& kept, std::int64_t column, std::int64_t n_keys,
                float factor, std::int64_t head_size, float* out) {
  multiply_tile<S, 1, kVectors>(scores, 0, kept.values + column, kept.padded_head, n_keys,
                                [&](int, typename S::Vector(&sums)[kVectors]) LMBITS_INLINE {
                                  repeat<kVectors>([&](auto j) LMBITS_INLINE {
                                    const std::int64_t at = column + j.value * S::kLanes;
                                    store_until<S>(out + at, head_size - at,
                                                   S::multiply(sums[j.value], S::fill(factor)));
                                  });
                                });
}

template <class S>
void attend_one(const AttentionShape& shape, const float* cache, std::int64_t position, const float* q,
                std::int64_t q_stride, float* out, std::int64_t out_stride, float* workspace) {
  const AttentionScratch<S> scratch(shape, workspace);
  const typename S::Vector scale = S::fill(shape.scale * kLog2E);
  const std::int64_t n_keys = position + 1;
  for (std::int64_t h = 0; h < shape.n_heads; ++h) {
    const std::int64_t kv = h / (shape.n_heads / shape.n_kv_heads);
    const AttentionScratch<S> kept(shape, const_cast<float*>(cache) + kv * kept_head_size<S>(shape));
    for (std::int64_t s = 0; s < shape.head_size; s += S::kLanes) {
      store_until<S>(scratch.queries + s, shape.head_size - s,
                     S::multiply(scale, load_until<S>(q + h * q_stride + s, shape.head_size - s)));
    }
    for (std::int64_t key = 0; key < n_keys; key += scratch.panel) {
      multiply_tile<S, 1, 2>(scratch.queries, 0, kept.keys + key * shape.head_size, scratch.panel, shape.head_size,
                             [&](int, typename S::Vector(&sums)[2]) LMBITS_INLINE {
                               S::store(scratch.scores + key, sums[0]);
                               S::store(scratch.scores + key + S::kLanes, sums[1]);
                             });
    }
    float factor = 0.0F;
    softmax_rows<S, 1>(scratch.scores, 0, &n_keys, round_up(n_keys, S::kLanes), &factor);
    std::int64_t column = 0;
    for (; column + 2 * S::kLanes <= kept.padded_head; column += 2 * S::kLanes) {
      weigh_kept<S, 2>(scratch.scores, kept, column, n_keys, factor, shape.head_size, out + h * out_stride);
    }
    if (column < kept.padded_head)
      weigh_kept<S, 1>(scratch.scores, kept, column, n_keys, factor, shape.head_size, out + h * out_stride);
  }
}

}  // namespace
}  // namespace lmbits::kernels
