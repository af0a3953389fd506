// Vector operations of AVX-512: the class `S` of the *_simd.h files. Included by avx512.cc alone.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

// 2^(i/32).
alignas(64) constexpr float kPowers[32] = {
    0x1p+0F,        0x1.059b0ep+0F, 0x1.0b5586p+0F, 0x1.11301ep+0F, 0x1.172b84p+0F, 0x1.1d4874p+0F, 0x1.2387a6p+0F,
    0x1.29e9ep+0F,  0x1.306fep+0F,  0x1.371a74p+0F, 0x1.3dea64p+0F, 0x1.44e086p+0F, 0x1.4bfdaep+0F, 0x1.5342b6p+0F,
    0x1.5ab07ep+0F, 0x1.6247ecp+0F, 0x1.6a09e6p+0F, 0x1.71f75ep+0F, 0x1.7a1148p+0F, 0x1.82589ap+0F, 0x1.8ace54p+0F,
    0x1.93737cp+0F, 0x1.9c4918p+0F, 0x1.a5503cp+0F, 0x1.ae89fap+0F, 0x1.b7f77p+0F,  0x1.c199bep+0F, 0x1.cb720ep+0F,
    0x1.d5818ep+0F, 0x1.dfc974p+0F, 0x1.ea4afap+0F, 0x1.f50766p+0F};

struct Avx512 {
  using Vector = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 12;  // of a product's tile: 12 x 2 sums, 2 columns and 1 row fill the 32 registers

  static __mmask16 first(std::int64_t n) { return static_cast<__mmask16>((1U << n) - 1U); }  // 0 <= n <= 16
  static Vector fill(float value) { return _mm512_set1_ps(value); }
  static Vector load(const float* x) { return _mm512_loadu_ps(x); }
  static Vector load_bfloat16(const std::uint16_t* x) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
  }
  static Vector load_int8(const std::int8_t* x) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
  }
  // The first n, 0 <= n < kLanes, and `rest` behind them: a masked lane is not touched, so it cannot fault.
  static Vector load_first(const float* x, std::int64_t n, Vector rest) {
    return _mm512_mask_loadu_ps(rest, first(n), x);
  }
  static void store(float* x, Vector a) { _mm512_storeu_ps(x, a); }
  static void store_first(float* x, std::int64_t n, Vector a) { _mm512_mask_storeu_ps(x, first(n), a); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
  static Vector square_root(Vector a) { return _mm512_sqrt_ps(a); }
  // 1 / a to 1e-7 for a normal a: an estimate of 14 bits and one step of Newton's method, a quarter of a division's time.
  static Vector reciprocal(Vector a) {
    const Vector y = _mm512_rcp14_ps(a);
    return _mm512_fmadd_ps(y, _mm512_fnmadd_ps(a, y, fill(1.0F)), y);
  }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm512_fmsub_ps(a, b, c); }
  static Vector max_or_second(Vector a, Vector b) { return _mm512_max_ps(a, b); }  // b where one is NaN
  static Vector min_or_second(Vector a, Vector b) { return _mm512_min_ps(a, b); }
  // 32 powers fill two registers, so that p is of degree 2 (5.5e-8; its last digits chosen for the whole's worst case).
  struct Powers {
    static constexpr float kRounder = 0x1.8p+18F;
    static constexpr float kP[] = {0x1.62e55cp-1F, 0x1.ebfbdep-3F};
  };
  // rest + p 2^n, but rest where d < limit (not where d is NaN). The bits of `rounded` end with those of 32 n. Scaling what is
  // not used would cost a hundred cycles wherever it is subnormal.
  static Vector add_times_power(Vector p, Vector rounded, Vector n, Vector rest, Vector d, Vector limit) {
    const __mmask16 used = _mm512_cmp_ps_mask(d, limit, _CMP_NLT_UQ);
    const Vector low = load(kPowers), high = load(kPowers + kLanes);
    const Vector fraction = _mm512_permutex2var_ps(low, _mm512_castps_si512(rounded), high);
    return _mm512_mask3_fmadd_ps(p, _mm512_maskz_scalef_ps(used, fraction, n), rest, used);
  }
  static bool any_greater(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
  static float reduce_max(Vector a) { return _mm512_reduce_max_ps(a); }
  static double reduce_add(Vector a) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(high)));
  }

  // rows[i] lane j <-> rows[j] lane i.
  [[gnu::always_inline]] static void transpose(Vector (&rows)[kLanes]) {
    Vector t[kLanes];
    for (int i = 0; i < 16; i += 2) {  // pairs of lanes
      t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {  // quarters: rows[i + c] holds column 4 q + c of rows i .. i + 3 in quarter q
      rows[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      rows[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
      rows[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      rows[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int c = 0; c < 4; ++c) {                                   // halves
      t[c] = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0x88);      // quarters 0, 2 of both
      t[4 + c] = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0xdd);  // 1, 3
      t[8 + c] = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0x88);
      t[12 + c] = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0xdd);
    }
    for (int c = 0; c < 4; ++c) {
      rows[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
      rows[4 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
      rows[8 + c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
      rows[12 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
    }
  }
};

}  // namespace
}  // namespace lmbits::kernels
