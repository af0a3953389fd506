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
constexpr float kLog2E = 1.44269504F;
constexpr float kSmallestExponent = -87.0F;  // below it e^d is 0: the smallest normal number is e^-87.3
constexpr float kSmallestPower = -125.0F;

// 2^(i/8) as a float's bits, less i << 20: see EighthPowers.
constexpr std::uint32_t kEighths[] = {0x3F800000, 0x3F7B95C2, 0x3F7837F0, 0x3F75FED7,
                                      0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7};

// How 2^x is made, 2^x = 2^(n/k) p(f), n/k + f = x, |f| <= 1/(2k), p(0) = 1: k = 8, p minimax of degree 3 for the relative
// error (2.7e-8).
struct EighthPowers {
  static constexpr float kRounder = 0x1.8p+20F;  // added to a float, leaves eight fractional values
  static constexpr float kP[] = {0x1.62e432p-1F, 0x1.ec0c38p-3F, 0x1.c6a004p-5F};
};

// rest + 2^(d * log2_base), but `rest` where d < smallest; NaN where d is. The exponent at `smallest`, and d's largest, must be
// those of normal numbers.
//
// The rounder leaves n in the low bits of a float, for a table of the powers of 2^(1/k). Error: p's, the table's rounding and
// fp32's, 2e-7 at most and 1e-8 in the mean. log2(e) as a float is 1.3e-8 too small, relative, which adds 1.4e-8 |d| for base
// e: where terms are weighed by e^d, less than that share of the result.
template <class S>
[[gnu::always_inline]] inline typename S::Vector add_power(typename S::Vector d, float log2_base, float smallest,
                                                           typename S::Vector rest) {
  using Vector = typename S::Vector;
  using Powers = typename S::Powers;
  constexpr int kDegree = sizeof(Powers::kP) / sizeof(float);
  const Vector base = S::fill(log2_base), rounder = S::fill(Powers::kRounder);
  const Vector rounded = S::multiply_add(d, base, rounder);
  const Vector n = S::subtract(rounded, rounder);
  const Vector f = S::multiply_subtract(d, base, n);
  Vector p = S::fill(Powers::kP[kDegree - 1]);
  for (int i = kDegree - 2; i >= 0; --i) p = S::multiply_add(p, f, S::fill(Powers::kP[i]));
  p = S::multiply_add(p, f, S::fill(1.0F));
  return S::add_times_power(p, rounded, n, rest, d, S::fill(smallest));
}

// rest + e^d, for d <= 88: rest at -inf.
template <class S>
[[gnu::always_inline]] inline typename S::Vector add_exponential(typename S::Vector d, typename S::Vector rest) {
  return add_power<S>(d, kLog2E, kSmallestExponent, rest);
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

// total[i][j] (+)= sum over k of a[i * a_stride + k] * b[k * b_stride + j * kLanes ...], in ascending k; `kBegin`: what was in
// total does not count. A row's sums depend on that row alone, not on the rows beside it.
// kFetch: a vector of `ahead`, which other calls will read, is brought near at every step.
template <class S, bool kBegin, bool kFetch, int kRows, int kVectors>
[[gnu::always_inline]] inline void add_products(const float* a, std::int64_t a_stride, const float* b,
                                                std::int64_t b_stride, std::int64_t n_k,
                                                typename S::Vector (&total)[kRows][kVectors],
                                                const float* ahead = nullptr) {
  using Vector = typename S::Vector;
  const auto step = [&](auto first) LMBITS_INLINE {
    Vector columns[kVectors];
    repeat<kVectors>([&](auto j) LMBITS_INLINE { columns[j.value] = S::load(b + j.value * S::kLanes); });
    repeat<kRows>([&](auto i) LMBITS_INLINE {
      const Vector row = S::fill(a[i.value * a_stride]);
      repeat<kVectors>([&](auto j) LMBITS_INLINE {
        Vector& sum = total[i.value][j.value];
        sum = first.value ? S::multiply(row, columns[j.value]) : S::multiply_add(row, columns[j.value], sum);
      });
    });
    if (kFetch) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += S::kLanes;
    }
    b += b_stride;
    ++a;
  };
  if (kBegin) step(Count<1>{});
  for (std::int64_t k = kBegin ? 1 : 0; k < n_k; ++k) step(Count<0>{});
}

// use(i, sums) for every row i: sums[j] is total[i][j] of add_products.
template <class S, int kRows, int kVectors, class Use>
[[gnu::always_inline]] inline void multiply_tile(const float* a, std::int64_t a_stride, const float* b,
                                                 std::int64_t b_stride, std::int64_t n_k, Use use) {
  typename S::Vector total[kRows][kVectors];
  add_products<S, true, false>(a, a_stride, b, b_stride, n_k, total);
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
