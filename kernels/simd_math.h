// What the *_simd.h files share, over a class `S` of vector operations: the exponential, and the register tile of a
// matrix product. Included by the file of one instruction set, never elsewhere.
//
// Everything in the *_simd.h files has internal linkage: a function shared with other files could be merged by the
// linker into the one copy that was compiled for an instruction set which the machine lacks. For the same reason they
// call no library, not even std::min.
#pragma once
#include <cstdint>
#include <utility>

namespace lmbits::kernels {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kSmallestExponent = -87.0F;  // below it e^d is 0: the smallest normal number is e^-87.3
constexpr float kSmallestPower = -125.0F;
constexpr float kP[] = {0x1.62e42ap-1F, 0x1.ebf9bcp-3F, 0x1.c6b752p-5F, 0x1.3cea88p-7F, 0x1.5bba14p-10F};
constexpr float kLog2E = 1.44269504F;
constexpr float kMinusLn2High = -0.693359375F;  // 10 bits: its product with n is exact
constexpr float kMinusLn2Low = 2.12194440e-4F;
constexpr float kQ[] = {0x1.fffffcp-2F, 0x1.555492p-3F, 0x1.5558f2p-5F, 0x1.123a02p-7F, 0x1.6a24p-10F};

// 2^d for d <= 0: 0 at -inf, NaN at NaN. 2^n p(f), n = round(d), f = d - n, p(0) = 1: minimax of degree 5 for the relative
// error (9.1e-8; 1.6e-7 at most and -2e-8 in the mean with fp32 rounding), four instructions less than exponential.
template <class S>
[[gnu::always_inline]] inline typename S::Vector power_of_two(typename S::Vector d) {
  using Vector = typename S::Vector;
  const Vector n = S::round(d);
  const Vector f = S::subtract(d, n);
  Vector p = S::fill(kP[4]);
  p = S::multiply_add(p, f, S::fill(kP[3]));
  p = S::multiply_add(p, f, S::fill(kP[2]));
  p = S::multiply_add(p, f, S::fill(kP[1]));
  p = S::multiply_add(p, f, S::fill(kP[0]));
  p = S::multiply_add(p, f, S::fill(1.0F));
  return S::scale_unless_less(p, n, d, S::fill(kSmallestPower));
}

template <int n>
struct Count {
  static constexpr int value = n;
};

template <class F, int... i>
[[gnu::always_inline]] inline void repeat_each(F f, std::integer_sequence<int, i...>) {
  (f(Count<i>{}), ...);
}

// f(Count<0>) ... f(Count<n - 1>), unrolled before the compiler decides what lives in registers: arrays of vectors that
// are indexed by a loop's counter end up in memory, with a load and a store a vector and tile. f must be always inlined.
template <int n, class F>
[[gnu::always_inline]] inline void repeat(F f) {
  repeat_each(f, std::make_integer_sequence<int, n>{});
}
#define LMBITS_INLINE __attribute__((always_inline))

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// e^d for d <= 0: 0 at -inf, NaN at NaN. With n = round(d * log2(e)) and r = d - n * ln 2 (in two parts, so that r is
// as exact as d is),
//
//   e^d = 2^n * e^r,   e^r = 1 + r + r^2 q(r),   |r| <= 0.3467
//
// q is the minimax polynomial of degree 4 for the relative error (Remez; 3.7e-9 with the coefficients rounded to fp32),
// so rounding decides: 9.5e-8 at most without FMA, 7.6e-8 with it, 1e-9 in the mean (Nll.TheExponentialIsWithin1e7 in
// tests/kernels/nll_test.cc).
template <class S>
[[gnu::always_inline]] inline typename S::Vector exponential(typename S::Vector d) {
  using Vector = typename S::Vector;
  const Vector n = S::round(S::multiply(d, S::fill(kLog2E)));
  const Vector r = S::multiply_add(n, S::fill(kMinusLn2Low), S::multiply_add(n, S::fill(kMinusLn2High), d));
  Vector p = S::fill(kQ[4]);
  p = S::multiply_add(p, r, S::fill(kQ[3]));
  p = S::multiply_add(p, r, S::fill(kQ[2]));
  p = S::multiply_add(p, r, S::fill(kQ[1]));
  p = S::multiply_add(p, r, S::fill(kQ[0]));
  p = S::multiply_add(p, r, S::fill(1.0F));
  p = S::multiply_add(p, r, S::fill(1.0F));
  return S::scale_unless_less(p, n, d, S::fill(kSmallestExponent));
}

// use(i, sums) for every row i: sums[j] = sum over k of a[i * a_stride + k] * b[k * b_stride + j * kLanes ...], in
// ascending k. A row's sums depend on that row alone, not on the rows beside it.
template <class S, int kRows, int kVectors, class Use>
[[gnu::always_inline]] inline void multiply_tile(const float* a, std::int64_t a_stride, const float* b,
                                                 std::int64_t b_stride, std::int64_t n_k, Use use) {
  using Vector = typename S::Vector;
  Vector total[kRows][kVectors];
  repeat<kRows>([&](auto i) LMBITS_INLINE {
    repeat<kVectors>([&](auto j) LMBITS_INLINE { total[i.value][j.value] = S::fill(0.0F); });
  });
  for (std::int64_t k = 0; k < n_k; ++k, b += b_stride) {
    Vector columns[kVectors];
    repeat<kVectors>([&](auto j) LMBITS_INLINE { columns[j.value] = S::load(b + j.value * S::kLanes); });
    repeat<kRows>([&](auto i) LMBITS_INLINE {
      const Vector row = S::fill(a[i.value * a_stride + k]);
      repeat<kVectors>([&](auto j) LMBITS_INLINE {
        total[i.value][j.value] = S::multiply_add(row, columns[j.value], total[i.value][j.value]);
      });
    });
  }
  repeat<kRows>([&](auto i) LMBITS_INLINE { use(i.value, total[i.value]); });
}

// The lanes before `end` columns from x on, 0 behind them.
template <class S>
[[gnu::always_inline]] inline typename S::Vector load_until(const float* x, std::int64_t end) {
  return end >= S::kLanes ? S::load(x) : S::load_first(x, end, S::fill(0.0F));
}

// Stores the lanes of `a` that lie before `end` columns from x on.
template <class S>
[[gnu::always_inline]] inline void store_until(float* x, std::int64_t end, typename S::Vector a) {
  if (end >= S::kLanes)
    S::store(x, a);
  else if (end > 0)
    S::store_first(x, end, a);
}

}  // namespace
}  // namespace lmbits::kernels
