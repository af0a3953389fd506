#include <immintrin.h>

#include "kernels/nll_simd.h"

namespace lmbits::kernels {
namespace {

struct Avx512 {
  using Vector = __m512;
  static constexpr int kLanes = 16;

  static Vector fill(float value) { return _mm512_set1_ps(value); }
  static Vector load(const float* x) { return _mm512_loadu_ps(x); }
  static Vector load_first(const float* x, std::int64_t n) {  // a masked lane is not touched, so it cannot fault
    return _mm512_mask_loadu_ps(fill(kMinusInfinity), static_cast<__mmask16>((1U << n) - 1U), x);
  }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector max_or_second(Vector a, Vector b) { return _mm512_max_ps(a, b); }  // b where one is NaN
  static Vector round(Vector a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // p * 2^n, but 0 where d < limit (not where d is NaN).
  static Vector scale_unless_less(Vector p, Vector n, Vector d, Vector limit) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(d, limit, _CMP_NLT_UQ), p, n);
  }
  static float reduce_max(Vector a) { return _mm512_reduce_max_ps(a); }
  static double reduce_add(Vector a) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(high)));
  }
};

}  // namespace

NllBlock nll_block_avx512(const float* x, std::int64_t n, float max) { return nll_block<Avx512>(x, n, max); }

}  // namespace lmbits::kernels
