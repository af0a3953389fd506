#include "kernels/nll.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/nll_isa.h"
#include "tests/support/guarded_pages.h"

namespace lmbits::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();

// One way to update the state: an instruction set, or the reference.
struct Path {
  std::string name;
  bool reference;
  Isa isa;

  bool available() const { return reference || isa_available(isa); }
  void update(const float* logits, const std::int32_t* targets, NllState* state, NllTile tile) const {
    if (reference) return nll_update_reference(logits, targets, state, tile);
    nll_update_isa(isa, logits, targets, state, tile);
  }
  friend void PrintTo(const Path& path, std::ostream* out) { *out << path.name; }
};

// The states of rows [R, n_cols] after tiles that end at each of `cuts` (ascending; the last is n_cols).
std::vector<NllState> states(const Path& path, const std::vector<float>& logits,
                             const std::vector<std::int32_t>& targets, const std::vector<std::int64_t>& cuts) {
  const auto n_rows = static_cast<std::int64_t>(targets.size());
  const std::int64_t stride = static_cast<std::int64_t>(logits.size()) / n_rows;
  std::vector<NllState> state(targets.size());
  nll_init(state.data(), n_rows);
  std::int64_t begin = 0;
  for (const std::int64_t end : cuts) {
    path.update(logits.data() + begin, targets.data(), state.data(), {n_rows, end - begin, stride, begin});
    begin = end;
  }
  return state;
}

std::vector<double> finish(const std::vector<NllState>& state) {
  std::vector<double> bits(state.size());
  nll_finish(state.data(), bits.data(), static_cast<std::int64_t>(state.size()));
  return bits;
}

double row_bits(const Path& path, const std::vector<float>& row, std::int32_t target,
                std::vector<std::int64_t> cuts = {}) {
  if (cuts.empty()) cuts = {static_cast<std::int64_t>(row.size())};
  return finish(states(path, row, {target}, cuts))[0];
}

std::vector<std::int64_t> tiles_of(std::int64_t width, std::int64_t n_cols) {
  std::vector<std::int64_t> cuts;
  for (std::int64_t end = width; end < n_cols; end += width) cuts.push_back(end);
  cuts.push_back(n_cols);
  return cuts;
}

bool same_bits(const NllState& a, const NllState& b) {
  return std::memcmp(&a.sum, &b.sum, sizeof a.sum) == 0 && std::memcmp(&a.max, &b.max, sizeof a.max) == 0 &&
         std::memcmp(&a.target, &b.target, sizeof a.target) == 0;
}

struct Rows {
  std::vector<float> logits;  // [R, V]
  std::vector<std::int32_t> targets;
};

// Logits as a language model's: normal of deviation `spread` about a common offset. Each row has its own `spread` about
// the given one, so that sure and unsure rows are both there.
Rows random_rows(std::size_t n_rows, std::size_t n_cols, float spread, float offset = 0.0F) {
  std::mt19937 random(static_cast<unsigned>(n_rows * 1000003 + n_cols));
  std::normal_distribution<float> normal;
  Rows rows{std::vector<float>(n_rows * n_cols), std::vector<std::int32_t>(n_rows)};
  for (std::size_t i = 0; i < n_rows; ++i) {
    const float deviation = spread * (0.5F + static_cast<float>(i % 4) / 2.0F);
    for (std::size_t v = 0; v < n_cols; ++v) rows.logits[i * n_cols + v] = offset + deviation * normal(random);
    rows.targets[i] = static_cast<std::int32_t>(random() % n_cols);
  }
  return rows;
}

const Path kReference{"reference", true, Isa::kScalar};

class Nll : public testing::TestWithParam<Path> {
 protected:
  void SetUp() override {
    if (!path().available()) GTEST_SKIP() << "this machine has no " << path().name;
  }
  static const Path& path() { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Path, Nll,
                         testing::Values(kReference, Path{"scalar", false, Isa::kScalar},
                                         Path{"avx2", false, Isa::kAvx2}, Path{"avx512", false, Isa::kAvx512}),
                         [](const auto& path) { return path.param.name; });

// ---- closed forms

TEST_P(Nll, EqualLogitsCostExactlyLog2OfTheirNumber) {
  for (const int log2_cols : {0, 1, 3, 8, 11, 15}) {
    for (const float logit : {0.0F, -3.5F, 1e4F, -kMax, kMax}) {
      const std::vector<float> row(std::size_t{1} << log2_cols, logit);
      EXPECT_EQ(row_bits(path(), row, 0), log2_cols) << logit;
    }
  }
}

TEST_P(Nll, TwoLogitsCostTheLogisticFunction) {
  for (float gap = -200.0F; gap <= 200.0F; gap += 0.37F) {
    const double expected = std::log1p(std::exp(double{gap})) / std::log(2.0);
    EXPECT_NEAR(row_bits(path(), {gap, 0.0F}, 1), expected, 2e-7 * std::max(1.0, expected)) << gap;
  }
}

TEST_P(Nll, ACommonOffsetChangesNothing) {
  std::vector<float> row(777), shifted(777);
  for (std::size_t v = 0; v < row.size(); ++v) {  // multiples of 1/64, so that adding 1e4 is exact
    row[v] = static_cast<float>((v * 7919) % 1280) / 64.0F;
    shifted[v] = row[v] + 1e4F;
  }
  EXPECT_DOUBLE_EQ(row_bits(path(), row, 5), row_bits(path(), shifted, 5));
}

TEST_P(Nll, AnUnderflowingProbabilityStillHasItsBits) {
  std::vector<float> row(300, -1e4F);
  row[17] = 0.0F;
  EXPECT_NEAR(row_bits(path(), row, 299), 1e4 / std::log(2.0), 1e-8);
  EXPECT_EQ(row_bits(path(), row, 17), 0.0);
}

// ---- agreement with the reference

TEST_P(Nll, AgreesWithTheReferenceAtEveryWidth) {
  for (std::size_t n_cols = 1; n_cols <= 300; ++n_cols) {
    const Rows rows = random_rows(4, n_cols, 4.0F, -30.0F);
    const std::vector<std::int64_t> one_tile{static_cast<std::int64_t>(n_cols)};
    const auto expected = finish(states(kReference, rows.logits, rows.targets, one_tile));
    const auto actual = finish(states(path(), rows.logits, rows.targets, one_tile));
    for (std::size_t i = 0; i < 4; ++i) {
      ASSERT_NEAR(actual[i], expected[i], 3e-7 * std::max(1.0, expected[i])) << n_cols << " columns, row " << i;
    }
  }
}

struct Case {
  std::int64_t n_cols;
  std::size_t n_rows;
};

TEST_P(Nll, TotalsAgreeWithTheReferenceTo1e7) {
  for (const Case c : {Case{257, 512}, Case{2048, 128}, Case{49152, 8}, Case{128256, 4}}) {
    for (const float spread : {1.0F, 4.0F}) {
      const Rows rows = random_rows(c.n_rows, static_cast<std::size_t>(c.n_cols), spread);
      const auto cuts = tiles_of(2048, c.n_cols);
      const auto expected = finish(states(kReference, rows.logits, rows.targets, cuts));
      const auto actual = finish(states(path(), rows.logits, rows.targets, cuts));
      for (std::size_t i = 0; i < c.n_rows; ++i) {
        ASSERT_NEAR(actual[i], expected[i], 1e-6 * std::max(1.0, expected[i])) << c.n_cols << " columns, row " << i;
      }
      const double total = std::accumulate(expected.begin(), expected.end(), 0.0);
      EXPECT_NEAR(std::accumulate(actual.begin(), actual.end(), 0.0), total, 1e-7 * total) << c.n_cols;
    }
  }
}

// Adding one number again and again rounds the same way each time: the worst case for an fp32 sum.
TEST_P(Nll, ASumOfEqualTermsStaysWithin1e6) {
  for (int k = 0; k < 40; ++k) {
    std::vector<float> row(20000, -0.173F * static_cast<float>(k));
    row[0] = 1.0F;
    const double expected = row_bits(kReference, row, 9);
    EXPECT_NEAR(row_bits(path(), row, 9), expected, 1e-6 * expected) << k;
  }
}

// With 0 as the maximum so far and one column of x, the state's sum is e^x itself.
// log2(e) as a float adds 1.4e-8 |x|; where a product is rounded before it is added to (scalar), 6e-8 |x| more.
TEST_P(Nll, TheExponentialIsWithin2e7) {
  constexpr std::uint32_t kStep = 4999;  // every so many floats from -0 to -88
  std::vector<float> x;
  for (std::uint32_t word = 0x80000000U; word < 0xC2B00000U; word += kStep) {
    float value;
    std::memcpy(&value, &word, sizeof value);
    x.push_back(value);
  }
  const std::vector<std::int32_t> targets(x.size(), 0);
  std::vector<NllState> state(x.size(), NllState{0.0, 0.0F, kNaN});
  path().update(x.data(), targets.data(), state.data(), {static_cast<std::int64_t>(x.size()), 1, 1, 0});
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < -87.0F) {
      ASSERT_LE(state[i].sum, 1.7e-38);  // may be flushed to 0
    } else {
      const double allowed = 1.0 + (path().isa == Isa::kScalar ? 0.4 : 0.07) * std::fabs(double{x[i]});
      worst = std::max(worst, std::fabs(state[i].sum / std::exp(double{x[i]}) - 1.0) / allowed);
    }
  }
  EXPECT_LE(worst, path().reference ? 1e-13 : 2e-7);
  RecordProperty("worst_relative_error", std::to_string(worst * 1e9) + "e-9");
}

// ---- tiles

TEST_P(Nll, TilesOfAnyWidthAgree) {
  const Rows rows = random_rows(4, 700, 4.0F);
  const auto whole = finish(states(path(), rows.logits, rows.targets, {700}));
  for (const std::int64_t width : {1, 2, 3, 16, 63, 64, 65, 350, 699}) {
    const auto tiled = finish(states(path(), rows.logits, rows.targets, tiles_of(width, 700)));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_NEAR(tiled[i], whole[i], 1e-6 * std::max(1.0, whole[i])) << width;
    }
  }
}

TEST_P(Nll, CutsAtMultiplesOfTheBlockChangeNoBit) {
  if (path().reference) return;  // has no blocks
  const std::int64_t n_cols = 3 * kNllBlock + 77;
  const Rows rows = random_rows(4, static_cast<std::size_t>(n_cols), 4.0F);
  const auto whole = states(path(), rows.logits, rows.targets, {n_cols});
  for (const auto& cuts : {tiles_of(kNllBlock, n_cols), tiles_of(2 * kNllBlock, n_cols)}) {
    const auto tiled = states(path(), rows.logits, rows.targets, cuts);
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(same_bits(tiled[i], whole[i])) << cuts.size();
  }
}

TEST_P(Nll, TheMaximumMayComeInAnyTile) {
  for (std::size_t at = 0; at < 12; ++at) {
    std::vector<float> row(12, 0.0F);
    row[at] = 500.0F;  // what came before vanishes beside it
    EXPECT_EQ(row_bits(path(), row, static_cast<std::int32_t>(at), tiles_of(3, 12)), 0.0);
    EXPECT_NEAR(row_bits(path(), row, at == 0 ? 1 : 0, tiles_of(3, 12)), 500.0 / std::log(2.0), 1e-9);
  }
}

TEST_P(Nll, AnEmptyTileChangesNothing) {
  const std::vector<float> row{1.0F, 2.0F, 0.5F};
  EXPECT_EQ(row_bits(path(), row, 1, {0, 2, 2, 3}), row_bits(path(), row, 1, {2, 3}));
  EXPECT_TRUE(std::isnan(row_bits(path(), row, 0, {0}))) << "no column was seen";
  path().update(nullptr, nullptr, nullptr, {0, 3, 3, 0});  // no rows: nothing is touched
}

// ---- -inf, NaN, +inf, targets out of range

TEST_P(Nll, AColumnOfMinusInfinityIsATokenOfProbabilityZero) {
  for (std::size_t n_cols = 2; n_cols <= 140; ++n_cols) {
    std::vector<float> row(n_cols, -kInf);
    row[n_cols / 2] = row[0] = -2.0F;
    for (const auto& cuts : {tiles_of(static_cast<std::int64_t>(n_cols), static_cast<std::int64_t>(n_cols)),
                             tiles_of(1, static_cast<std::int64_t>(n_cols))}) {
      ASSERT_EQ(row_bits(path(), row, 0, cuts), 1.0) << n_cols;
    }
  }
}

TEST_P(Nll, TilesOfNothingButMinusInfinityAreSkipped) {
  const float i = -kInf;
  EXPECT_EQ(row_bits(path(), {i, i, i, 4.0F, 4.0F, i, i, i, i}, 3, tiles_of(3, 9)), 1.0);
}

TEST_P(Nll, ATargetAtMinusInfinityCostsInfinitelyManyBits) {
  const double bits = row_bits(path(), {0.0F, -kInf, 1.0F}, 1);
  EXPECT_TRUE(std::isinf(bits) && bits > 0.0) << bits;
}

TEST_P(Nll, ARowOfMinusInfinityIsUndefined) {
  for (const std::size_t n_cols : {1U, 2U, 16U, 65U, 3000U}) {
    const std::vector<float> row(n_cols, -kInf);
    EXPECT_TRUE(std::isnan(row_bits(path(), row, 0)));
    EXPECT_TRUE(std::isnan(row_bits(path(), row, 0, tiles_of(16, static_cast<std::int64_t>(n_cols)))));
  }
}

TEST_P(Nll, ANaNOrPlusInfinityAnywhereGivesNaN) {
  for (const std::size_t n_cols : {1U, 2U, 7U, 16U, 33U, 64U, 67U, 150U}) {
    for (std::size_t at = 0; at < n_cols; ++at) {
      for (const float bad : {kNaN, -kNaN, kInf}) {
        for (const float other : {0.0F, -kInf, -kMax, kMax}) {
          std::vector<float> row(n_cols, other);
          row[at] = bad;
          const auto n = static_cast<std::int64_t>(n_cols);
          ASSERT_TRUE(std::isnan(row_bits(path(), row, 0))) << n_cols << " " << at << " " << bad << " " << other;
          ASSERT_TRUE(std::isnan(row_bits(path(), row, 0, tiles_of(5, n)))) << n_cols << " " << at << " " << bad;
        }
      }
    }
  }
}

TEST_P(Nll, ATargetOutOfRangeGivesNaNAndReadsNothing) {
  const std::vector<float> row{1.0F, 2.0F, 3.0F};
  constexpr auto kLowest = std::numeric_limits<std::int32_t>::min();
  for (const std::int32_t target : {-1, -100, 3, 4, std::numeric_limits<std::int32_t>::max(), kLowest}) {
    EXPECT_TRUE(std::isnan(row_bits(path(), row, target))) << target;
    EXPECT_TRUE(std::isnan(row_bits(path(), row, target, tiles_of(1, 3)))) << target;
  }
}

TEST_P(Nll, TheLargestSpanOfLogitsIsNoTrap) {
  EXPECT_EQ(row_bits(path(), {kMax, -kMax}, 0), 0.0);
  EXPECT_NEAR(row_bits(path(), {kMax, -kMax}, 1), 2.0 * double{kMax} / std::log(2.0), 1e24);
  EXPECT_EQ(row_bits(path(), {0.0F, -0.0F, 1e-45F, -1e-45F}, 3), 2.0);
}

// ---- memory

TEST_P(Nll, PaddingBetweenRowsIsIgnored) {
  constexpr std::size_t kStride = 40;
  const Rows rows = random_rows(3, 33, 3.0F);
  std::vector<float> padded(3 * kStride, kNaN);
  for (std::size_t i = 0; i < 3; ++i) std::copy_n(&rows.logits[i * 33], 33, &padded[i * kStride]);
  std::vector<NllState> state(3);
  nll_init(state.data(), 3);
  path().update(padded.data(), rows.targets.data(), state.data(), {3, 33, kStride, 0});
  const auto expected = states(path(), rows.logits, rows.targets, {33});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(state[i], expected[i]));
}

TEST_P(Nll, ReadsNothingOutsideTheRow) {
  GuardedPages pages;
  const std::span<float> floats = pages.floats();
  std::fill(floats.begin(), floats.end(), 0.5F);
  const std::int32_t target = 0;
  for (std::size_t n_cols = 1; n_cols <= 300; ++n_cols) {
    for (const float* row : {floats.data(), floats.data() + floats.size() - n_cols}) {
      NllState state;
      nll_init(&state, 1);
      path().update(row, &target, &state, {1, static_cast<std::int64_t>(n_cols), 1000, 0});
      ASSERT_EQ(state.sum, static_cast<double>(n_cols));
    }
  }
}

TEST_P(Nll, ARowsResultDependsOnItsOwnValuesOnly) {
  constexpr std::size_t kRows = 24;
  for (const std::size_t n_cols : {1U, 5U, 31U, 100U, 257U, 2049U}) {
    const Rows rows = random_rows(kRows, n_cols, 4.0F);
    const auto n = static_cast<std::int64_t>(n_cols);
    const auto expected = states(path(), rows.logits, rows.targets, {n});
    for (std::size_t offset = 0; offset <= 17; ++offset) {
      // Row i at place order[i], in fewer rows, with another stride, `offset` floats from an aligned start.
      std::vector<std::size_t> order(kRows);
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(offset)));
      order.resize(1 + offset);
      const std::size_t stride = n_cols + offset % 3;
      std::vector<float> logits(offset + order.size() * stride, 9.0F);
      std::vector<std::int32_t> targets;
      for (std::size_t i = 0; i < order.size(); ++i) {
        std::copy_n(&rows.logits[order[i] * n_cols], n_cols, &logits[offset + i * stride]);
        targets.push_back(rows.targets[order[i]]);
      }
      std::vector<NllState> state(order.size());
      const auto n_rows = static_cast<std::int64_t>(order.size());
      nll_init(state.data(), n_rows);
      path().update(logits.data() + offset, targets.data(), state.data(),
                    {n_rows, n, static_cast<std::int64_t>(stride), 0});
      for (std::size_t i = 0; i < order.size(); ++i) ASSERT_TRUE(same_bits(state[i], expected[order[i]])) << n_cols;
    }
  }
}

// ---- dispatch

TEST(NllDispatch, TakesTheWidestAvailable) {
  const Isa best = best_isa();
  EXPECT_TRUE(isa_available(best));
  for (const Isa isa : kAllIsas) EXPECT_TRUE(!isa_available(isa) || isa <= best) << isa_name(isa);
  EXPECT_STREQ(nll_isa(), isa_name(best));

  const Rows rows = random_rows(8, 1000, 4.0F);
  std::vector<NllState> state(8);
  nll_init(state.data(), 8);
  nll_update(rows.logits.data(), rows.targets.data(), state.data(), {8, 1000, 1000, 0});
  const auto expected = states({"best", false, best}, rows.logits, rows.targets, {1000});
  for (std::size_t i = 0; i < 8; ++i) EXPECT_TRUE(same_bits(state[i], expected[i]));
}

TEST(NllDispatch, RefusesWhatTheMachineLacks) {
  for (const Isa isa : kAllIsas) {
    if (isa_available(isa)) continue;
    EXPECT_THROW(nll_update_isa(isa, nullptr, nullptr, nullptr, {0, 0, 0, 0}), std::logic_error);
  }
}

}  // namespace
}  // namespace lmbits::kernels
