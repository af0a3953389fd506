// Vector operations for every processor: the class `S` of the *_simd.h files. The compiler maps its generic vectors to
// what the baseline has (SSE2, NEON, or scalar instructions). Included by scalar.cc alone.
#pragma once
#include <cstdint>

#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

struct Scalar {
  static constexpr int kLanes = 4;
  static constexpr int kTileRows = 4;
  using Vector = float __attribute__((vector_size(4 * kLanes)));
  using Words = std::uint32_t __attribute__((vector_size(4 * kLanes)));

  static Vector fill(float value) { return Vector{value, value, value, value}; }
  static Vector load(const float* x) { return Vector{x[0], x[1], x[2], x[3]}; }
  static Vector load_bfloat16(const std::uint16_t* x) {
    return reinterpret_cast<Vector>(Words{x[0], x[1], x[2], x[3]} << 16);
  }
  static Vector load_int8(const std::int8_t* x) { return Vector{float(x[0]), float(x[1]), float(x[2]), float(x[3])}; }
  static Vector load_first(const float* x, std::int64_t n, Vector rest) {
    for (int lane = 0; lane < n; ++lane) rest[lane] = x[lane];
    return rest;
  }
  static void store(float* x, Vector a) { store_first(x, kLanes, a); }
  static void store_first(float* x, std::int64_t n, Vector a) {
    for (int lane = 0; lane < n; ++lane) x[lane] = a[lane];
  }
  static Vector add(Vector a, Vector b) { return a + b; }
  static Vector subtract(Vector a, Vector b) { return a - b; }
  static Vector multiply(Vector a, Vector b) { return a * b; }
  static Vector divide(Vector a, Vector b) { return a / b; }
  static Vector square_root(Vector a) {
    for (int lane = 0; lane < kLanes; ++lane) a[lane] = __builtin_sqrtf(a[lane]);
    return a;
  }
  static Vector reciprocal(Vector a) { return fill(1.0F) / a; }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return a * b - c; }
  static Vector max_or_second(Vector a, Vector b) { return a > b ? a : b; }  // b where one is NaN
  static Vector min_or_second(Vector a, Vector b) { return a < b ? a : b; }
  using Powers = EighthPowers;
  // rest + p 2^n, but rest where d < limit (not where d is NaN). As in simd_avx2.h.
  static Vector add_times_power(Vector p, Vector rounded, Vector /*n*/, Vector rest, Vector d, Vector limit) {
    Words bits = reinterpret_cast<Words>(rounded);
    for (int lane = 0; lane < kLanes; ++lane) bits[lane] = kEighths[bits[lane] & 7U] + (bits[lane] << 20);
    return d < limit ? rest : p * reinterpret_cast<Vector>(bits) + rest;
  }
  static bool any_greater(Vector a, Vector b) { return a[0] > b[0] || a[1] > b[1] || a[2] > b[2] || a[3] > b[3]; }
  static float reduce_max(Vector a) {
    float max = a[0];
    for (int lane = 1; lane < kLanes; ++lane) max = a[lane] > max ? a[lane] : max;
    return max;
  }
  static double reduce_add(Vector a) { return (double{a[0]} + double{a[1]}) + (double{a[2]} + double{a[3]}); }

  // rows[i] lane j <-> rows[j] lane i.
  static void transpose(Vector (&rows)[kLanes]) {
    for (int i = 0; i < kLanes; ++i) {
      for (int j = 0; j < i; ++j) {
        const float swapped = rows[i][j];
        rows[i][j] = rows[j][i];
        rows[j][i] = swapped;
      }
    }
  }
};

}  // namespace
}  // namespace lmbits::kernels
