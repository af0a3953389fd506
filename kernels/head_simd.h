// The body of head_nll(), over a class `S` of vector operations (see simd_math.h).
//
// As linear(): a panel of the packed weight stays in cache while a block of rows passes by, a tile at a time. What would be
// stored is folded into the rows' running sums instead, which are vectors in memory: a lane holds the sum of its columns.
#pragma once
#include "kernels/head_isa.h"
#include "kernels/linear_simd.h"
#include "kernels/nll_isa.h"
#include "kernels/simd_math.h"

namespace lmbits::kernels {
namespace {

constexpr std::int64_t kHeadRows = 48;                       // while a panel stays in cache
constexpr float kLowestReference = -3.4028234663852886e38F;  // finite: -inf less it is -inf, and no NaN

template <class S>
struct HeadBlock {
  alignas(64) float sums[kHeadRows][S::kLanes];
  alignas(64) float maxima[kHeadRows][S::kLanes];
  float references[kHeadRows], limits[kHeadRows], targets[kHeadRows];
  double totals[kHeadRows];

  explicit HeadBlock(std::int64_t n_rows) {
    for (std::int64_t row = 0; row < n_rows; ++row) {
      S::store(sums[row], S::fill(0.0F));
      S::store(maxima[row], S::fill(kMinusInfinity));
      references[row] = limits[row] = kLowestReference;
      targets[row] = __builtin_nanf("");
      totals[row] = 0.0;
    }
  }

  // The largest logit so far becomes the reference.
  [[gnu::noinline]] void raise_reference(std::int64_t row, typename S::Vector max) {
    const float reference = S::reduce_max(max);
    const typename S::Vector zero = S::fill(0.0F);
    const typename S::Vector factor = add_exponential<S>(S::fill(references[row] - reference), zero);
    alignas(64) float factors[S::kLanes];
    S::store(factors, factor);
    totals[row] *= factors[0];
    S::store(sums[row], S::multiply(S::load(sums[row]), factor));
    references[row] = reference;
    limits[row] = reference + kHeadSlack;
  }

  // Two vectors of a row's logits.
  [[gnu::always_inline]] void add(std::int64_t row, typename S::Vector a, typename S::Vector b) {
    using Vector = typename S::Vector;
    const Vector max = S::max_or_second(a, S::max_or_second(b, S::load(maxima[row])));
    S::store(maxima[row], max);
    if (S::any_greater(max, S::fill(limits[row]))) raise_reference(row, max);
    const Vector reference = S::fill(references[row]);
    Vector sum = add_exponential<S>(S::subtract(a, reference), S::load(sums[row]));
    sum = add_exponential<S>(S::subtract(b, reference), sum);
    S::store(sums[row], sum);
  }

  void flush(std::int64_t n_rows) {
    for (std::int64_t row = 0; row < n_rows; ++row) {
      totals[row] += S::reduce_add(S::load(sums[row]));
      S::store(sums[row], S::fill(0.0F));
    }
  }
};

// The first n lanes of a, -inf behind them.
template <class S>
[[gnu::noinline]] typename S::Vector first_lanes(typename S::Vector a, std::int64_t n) {
  alignas(64) float lanes[S::kLanes];
  S::store(lanes, a);
  return n <= 0 ? S::fill(kMinusInfinity) : n >= S::kLanes ? a : S::load_first(lanes, n, S::fill(kMinusInfinity));
}

// A tile of rows, from `row` of the block on, against the panel whose first column is `column`.
template <class S>
void head_tile(const Linear& map, const float* x, const float* panel, const std::int32_t* targets, std::int64_t row,
               std::int64_t column, HeadBlock<S>& block) {
  using Vector = typename S::Vector;
  constexpr std::int64_t kWidth = 2 * S::kLanes;
  const std::int64_t left = map.n_out - column;
  multiply_tile<S, S::kTileRows, 2>(x, map.n_in, panel, kWidth, map.n_in, [&](int i, Vector(&z)[2]) LMBITS_INLINE {
    const std::int64_t at = targets[row + i] - column;
    if (at >= 0 && at < smaller(kWidth, left)) {
      alignas(64) float lanes[kWidth];
      S::store(lanes, z[0]);
      S::store(lanes + S::kLanes, z[1]);
      block.targets[row + i] = lanes[at];
    }
    if (left < kWidth) {
      z[0] = first_lanes<S>(z[0], left);
      z[1] = first_lanes<S>(z[1], left - S::kLanes);
    }
    block.add(row + i, z[0], z[1]);
  });
}

// n_rows is a multiple of kTileRows.
template <class S>
void head_rows(const Linear& map, const float* packed, const float* x, std::int64_t n_rows, const std::int32_t* targets,
               HeadRow* rows) {
  constexpr std::int64_t kPanels = kNllBlock / (2 * S::kLanes);  // of a sum in fp32
  const std::int64_t n_panels = linear_panels<S>(map);
  for (std::int64_t first = 0; first < n_rows; first += kHeadRows) {
    const std::int64_t n = smaller(kHeadRows, n_rows - first);
    HeadBlock<S> block(n);
    for (std::int64_t panel = 0; panel < n_panels; ++panel) {
      const float* weight = packed + panel * map.n_in * 2 * S::kLanes;
      for (std::int64_t row = 0; row < n; row += S::kTileRows) {
        head_tile<S>(map, x + (first + row) * map.n_in, weight, targets + first, row, panel * 2 * S::kLanes, block);
      }
      if ((panel + 1) % kPanels == 0 || panel + 1 == n_panels) block.flush(n);
    }
    for (std::int64_t row = 0; row < n; ++row) {
      rows[first + row] = {block.totals[row], block.references[row], S::reduce_max(S::load(block.maxima[row])),
                           block.targets[row]};
    }
  }
}

}  // namespace
}  // namespace lmbits::kernels
