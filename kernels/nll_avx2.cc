#include <immintrin.h>

#include "kernels/nll_simd.h"

namespace lmbits::kernels {
namespace {

struct Avx2 {
  using Vector = __m256;
  static constexpr int kLanes = 8;

  static Vector fill(float value) { return _mm256_set1_ps(value); }
  static Vector load(const float* x) { return _mm256_loadu_ps(x); }
  static Vector load_first(const float* x, std::int64_t n) {  // a masked lane is not touched, so it cannot fault
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
    return _mm256_blendv_ps(fill(kMinusInfinity), _mm256_maskload_ps(x, mask), _mm256_castsi256_ps(mask));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector max_or_second(Vector a, Vector b) { return _mm256_max_ps(a, b); }  // b where one is NaN
  static Vector round(Vector a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // p * 2^n, but 0 where d < limit (not where d is NaN). Where it is not, -126 <= n, so 2^n is a normal number.
  static Vector scale_unless_less(Vector p, Vector n, Vector d, Vector limit) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    const Vector scaled = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    return _mm256_andnot_ps(_mm256_cmp_ps(d, limit, _CMP_LT_OQ), scaled);
  }
  static float reduce_max(Vector a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static double reduce_add(Vector a) {
    const __m256d four =
        _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

}  // namespace

NllBlock nll_block_avx2(const float* x, std::int64_t n, float max) { return nll_block<Avx2>(x, n, max); }

}  // namespace lmbits::kernels
