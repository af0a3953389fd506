// The body of nll_block_*, over a class `S` of vector operations: included by one file an instruction set, never
// elsewhere.
//
// Two passes: the maximum, then the sum of e^(x - max), four accumulators each to hide the latency of the chain
// max/add. With d = x - max, n = round(d * log2(e)) and r = d - n * ln 2 (in two parts, so that r is as exact as d is),
//
//   e^d = 2^n * e^r,   e^r = 1 + r + r^2 q(r),   |r| <= 0.3467
//
// q is the minimax polynomial of degree 4 for the relative error (Remez; 3.7e-9 with the coefficients rounded to fp32),
// so rounding decides: 9.5e-8 at most without FMA, 7.6e-8 with it, 1e-9 in the mean (Nll.TheExponentialIsWithin1e7 in
// tests/kernels/nll_test.cc). The subtraction comes first: folding -max * log2(e) into a multiply-add would round a
// common offset of 1e4 to 5e-4.
//
// Everything here has internal linkage: a function shared with other files could be merged by the linker into the one
// copy that was compiled for an instruction set which the machine lacks. For the same reason it calls no library.
#pragma once
#include <cstdint>

#include "kernels/nll_isa.h"

namespace lmbits::kernels {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
constexpr float kSmallestExponent = -87.0F;  // below it e^d is 0: the smallest normal number is e^-87.3
constexpr float kLog2E = 1.44269504F;
constexpr float kMinusLn2High = -0.693359375F;  // 10 bits: its product with n is exact
constexpr float kMinusLn2Low = 2.12194440e-4F;
constexpr float kQ[] = {0x1.fffffcp-2F, 0x1.555492p-3F, 0x1.5558f2p-5F, 0x1.123a02p-7F, 0x1.6a24p-10F};

// e^d for d <= 0: 0 at -inf, NaN at NaN.
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

// accumulators[0..4) = fold(accumulator, vector) over x [n], the last vector filled up with -inf.
template <class S, class Fold>
[[gnu::always_inline]] inline void fold_vectors(const float* x, std::int64_t n, typename S::Vector (&accumulators)[4],
                                                Fold fold) {
  constexpr std::int64_t kLanes = S::kLanes;
  typename S::Vector a = accumulators[0], b = accumulators[1], c = accumulators[2], d = accumulators[3];
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = fold(a, S::load(x + i));
    b = fold(b, S::load(x + i + kLanes));
    c = fold(c, S::load(x + i + 2 * kLanes));
    d = fold(d, S::load(x + i + 3 * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) a = fold(a, S::load(x + i));
  if (i < n) b = fold(b, S::load_first(x + i, n - i));
  accumulators[0] = a, accumulators[1] = b, accumulators[2] = c, accumulators[3] = d;
}

template <class S>
NllBlock nll_block(const float* x, std::int64_t n, float max_so_far) {
  using Vector = typename S::Vector;
  const Vector start = S::fill(max_so_far);
  Vector maxima[4] = {start, start, start, start};
  fold_vectors<S>(x, n, maxima, [](Vector max, Vector v) { return S::max_or_second(v, max); });
  const float max = S::reduce_max(
      S::max_or_second(S::max_or_second(maxima[0], maxima[1]), S::max_or_second(maxima[2], maxima[3])));

  // -inf - -inf is NaN, so where all is -inf (or NaN) so far, 0 stands in for the maximum.
  const Vector origin = S::fill(max == kMinusInfinity ? 0.0F : max);
  const Vector zero = S::fill(0.0F);
  Vector sums[4] = {zero, zero, zero, zero};
  fold_vectors<S>(x, n, sums, [origin](Vector sum, Vector v) {
    return S::add(sum, exponential<S>(S::subtract(v, origin)));
  });
  return {S::reduce_add(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]))), max};
}

}  // namespace
}  // namespace lmbits::kernels
