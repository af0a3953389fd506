#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"

namespace lmbits::kernels {

std::int64_t attention_workspace(Isa isa, const AttentionShape& shape) { return bodies(isa).attention_scratch(shape); }

void causal_attention(Isa isa, const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k,
                      HeadsView<const float> v, HeadsView<float> out, float* workspace, const std::int64_t* first_query,
                      Rotation rotation) {
  bodies(isa).attend(shape, q, k, v, out, workspace, first_query, rotation);
}

std::int64_t attention_cache_size(Isa isa, const AttentionShape& shape) { return bodies(isa).attention_cache(shape); }

void keep_position(Isa isa, const AttentionShape& shape, float* cache, std::int64_t position, const float* k,
                   std::int64_t k_stride, const float* v, std::int64_t v_stride) {
  bodies(isa).keep(shape, cache, position, k, k_stride, v, v_stride);
}

void attend_kept(Isa isa, const AttentionShape& shape, const float* cache, std::int64_t position, const float* q,
                 std::int64_t q_stride, float* out, std::int64_t out_stride, float* workspace) {
  bodies(isa).attend_one(shape, cache, position, q, q_stride, out, out_stride, workspace);
}

void causal_attention_reference(const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k,
                                HeadsView<const float> v, double* out) {
  std::vector<double> p(static_cast<std::size_t>(shape.n_positions));
  for (std::int64_t b = 0; b < shape.n_sequences; ++b) {
    for (std::int64_t h = 0; h < shape.n_heads; ++h) {
      const std::int64_t kv = h / (shape.n_heads / shape.n_kv_heads);
      for (std::int64_t t = 0; t < shape.n_positions; ++t, out += shape.head_size) {
        double max = -std::numeric_limits<double>::infinity(), sum = 0.0;
        for (std::int64_t s = 0; s <= t; ++s) {
          double dot = 0.0;
          for (std::int64_t i = 0; i < shape.head_size; ++i) {
            dot += double{q.at(b, h)[t * q.position_stride + i]} * k.at(b, kv)[s * k.position_stride + i];
          }
          p[static_cast<std::size_t>(s)] = dot * shape.scale;
          max = std::fmax(max, dot * shape.scale);
        }
        for (std::int64_t s = 0; s <= t; ++s)
          sum += p[static_cast<std::size_t>(s)] = std::exp(p[static_cast<std::size_t>(s)] - max);
        for (std::int64_t i = 0; i < shape.head_size; ++i) {
          out[i] = 0.0;
          for (std::int64_t s = 0; s <= t; ++s)
            out[i] += p[static_cast<std::size_t>(s)] / sum * v.at(b, kv)[s * v.position_stride + i];
        }
      }
    }
  }
}

void rms_norm(Isa isa, const float* x, std::int64_t n_rows, std::int64_t n, const float* gain, float eps, float* y) {
  bodies(isa).rms_norm_rows(x, n_rows, n, gain, eps, y);
}

void rotate_heads(Isa isa, const AttentionShape& shape, HeadsView<const float> x, const float* cos, const float* sin,
                  HeadsView<float> y) {
  bodies(isa).rotate(shape, x, cos, sin, y);
}

}  // namespace lmbits::kernels
