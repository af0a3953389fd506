// The kernels' bodies as each instruction set has them, and the one place that chooses.
#pragma once
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/cdf.h"
#include "kernels/head_isa.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/nll_isa.h"

namespace lmbits::kernels {

// The sum of a block's weights, and of its e^(x - max); see cdf_block.
struct CdfBlock {
  std::uint64_t total;
  double sum;  // NaN where a logit is NaN or +inf
};

// Each function is the one of the same name in *_simd.h.
struct Bodies {
  NllBlock (*nll_block)(const float* x, std::int64_t n, float max);
  std::int64_t lanes;  // of a vector
  std::int64_t (*linear_panels)(const Linear& map);
  void (*pack_linear_weight)(const Linear& map, const float* weight, const float* gain, void* packed);
  void (*linear_rows)(const Linear& map, const void* packed, const float* x, std::int64_t n_rows, const float* residual,
                      float* y);
  std::int64_t (*attention_scratch)(const AttentionShape& shape);
  void (*attend)(const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k,
                 HeadsView<const float> v, HeadsView<float> out, float* workspace, const std::int64_t* first_query,
                 Rotation rotation);
  std::int64_t (*attention_cache)(const AttentionShape& shape);
  void (*keep)(const AttentionShape& shape, float* cache, std::int64_t position, const float* k, std::int64_t k_stride,
               const float* v, std::int64_t v_stride);
  void (*attend_one)(const AttentionShape& shape, const float* cache, std::int64_t position, const float* q,
                     std::int64_t q_stride, float* out, std::int64_t out_stride, float* workspace);
  void (*rms_norm_rows)(const float* x, std::int64_t n_rows, std::int64_t n, const float* gain, float eps, float* y);
  std::int64_t tile_rows;  // of a product
  void (*head_rows)(const Linear& map, const float* packed, const float* x, std::int64_t n_rows,
                    const std::int32_t* targets, HeadRow* rows);
  void (*rotate)(const AttentionShape& shape, HeadsView<const float> x, const float* cos, const float* sin,
                 HeadsView<float> y);
  float (*row_max)(const float* x, std::int64_t n);
  CdfBlock (*cdf_block)(const float* x, std::int64_t n, float max, double scale, float* e, std::uint64_t* weights);
};

extern const Bodies kScalarBodies, kAvx2Bodies, kAvx512Bodies;

// std::logic_error where isa_available(isa) is false.
const Bodies& bodies(Isa isa);

}  // namespace lmbits::kernels
