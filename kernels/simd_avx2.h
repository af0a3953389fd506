// Vector operations of AVX2 and FMA: the class `S` of the *_simd.h files. Included by avx2.cc alone.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

struct Avx2 {
  using Vector = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 6;  // of a product's tile: 6 x 2 sums, 2 columns and 1 row fill 15 of 16 registers

  static __m256i first(std::int64_t n) {  // 0 <= n <= 8
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector fill(float value) { return _mm256_set1_ps(value); }
  static Vector load(const float* x) { return _mm256_loadu_ps(x); }
  static Vector load_bfloat16(const std::uint16_t* x) {
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
  }
  static Vector load_int8(const std::int8_t* x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x))));
  }
  // The first n, 0 <= n < kLanes, and `rest` behind them: a masked lane is not touched, so it cannot fault.
  static Vector load_first(const float* x, std::int64_t n, Vector rest) {
    const __m256i mask = first(n);
    return _mm256_blendv_ps(rest, _mm256_maskload_ps(x, mask), _mm256_castsi256_ps(mask));
  }
  static void store(float* x, Vector a) { _mm256_storeu_ps(x, a); }
  static void store_first(float* x, std::int64_t n, Vector a) { _mm256_maskstore_ps(x, first(n), a); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
  static Vector square_root(Vector a) { return _mm256_sqrt_ps(a); }
  static Vector reciprocal(Vector a) { return _mm256_div_ps(fill(1.0F), a); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm256_fmsub_ps(a, b, c); }
  static Vector max_or_second(Vector a, Vector b) { return _mm256_max_ps(a, b); }  // b where one is NaN
  static Vector min_or_second(Vector a, Vector b) { return _mm256_min_ps(a, b); }
  using Powers = EighthPowers;
  // rest + p 2^n, but rest where d < limit (not where d is NaN). The bits of `rounded` end with those of 8 n: the last three
  // choose from the table, and shifting all to the exponent's place adds the rest (and i << 20, which the table leaves out).
  static Vector add_times_power(Vector p, Vector rounded, Vector /*n*/, Vector rest, Vector d, Vector limit) {
    const __m256i bits = _mm256_castps_si256(rounded);
    const __m256i table = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kEighths));
    const __m256i power = _mm256_add_epi32(_mm256_permutevar8x32_epi32(table, bits), _mm256_slli_epi32(bits, 20));
    return _mm256_blendv_ps(_mm256_fmadd_ps(p, _mm256_castsi256_ps(power), rest), rest,
                            _mm256_cmp_ps(d, limit, _CMP_LT_OQ));
  }
  static bool any_greater(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
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

  // rows[i] lane j <-> rows[j] lane i.
  static void transpose(Vector (&rows)[kLanes]) {
    Vector t[kLanes];
    for (int i = 0; i < 8; i += 2) {  // pairs of lanes
      t[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {  // halves: rows[i + c] holds column 4 h + c of rows i .. i + 3 in half h
      rows[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      rows[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      rows[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      rows[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int c = 0; c < 4; ++c) {
      t[c] = _mm256_permute2f128_ps(rows[c], rows[4 + c], 0x20);
      t[4 + c] = _mm256_permute2f128_ps(rows[c], rows[4 + c], 0x31);
    }
    for (int i = 0; i < 8; ++i) rows[i] = t[i];
  }
};

}  // namespace
}  // namespace lmbits::kernels
