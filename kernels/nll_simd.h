// The body of nll_block_*, over a class `S` of vector operations (see simd_math.h).
//
// Two passes: the maximum, then the sum of e^(x - max), four accumulators each to hide the latency of the chain
// max/add. The subtraction comes first: folding -max * log2(e) into a multiply-add would round a common offset of 1e4 to
// 5e-4.
#pragma once
#include "kernels/nll_isa.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

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
  if (i < n) b = fold(b, S::load_first(x + i, n - i, S::fill(kMinusInfinity)));
  accumulators[0] = a, accumulators[1] = b, accumulators[2] = c, accumulators[3] = d;
}

template <class S>
NllBlock nll_block(const float* x, std::int64_t n, float max_so_far) {
  using Vector = typename S::Vector;
  const Vector start = S::fill(max_so_far);
  Vector maxima[4] = {start, start, start, start};
  fold_vectors<S>(x, n, maxima, [](Vector max, Vector v) { return S::max_or_second(v, max); });
  const float max =
      S::reduce_max(S::max_or_second(S::max_or_second(maxima[0], maxima[1]), S::max_or_second(maxima[2], maxima[3])));

  // -inf - -inf is NaN, so where all is -inf (or NaN) so far, 0 stands in for the maximum.
  const Vector origin = S::fill(max == kMinusInfinity ? 0.0F : max);
  const Vector zero = S::fill(0.0F);
  Vector sums[4] = {zero, zero, zero, zero};
  fold_vectors<S>(x, n, sums,
                  [origin](Vector sum, Vector v) { return add_exponential<S>(S::subtract(v, origin), sum); });
  return {S::reduce_add(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]))), max};
}

}  // namespace
}  // namespace lmbits::kernels
