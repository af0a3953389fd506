#include "kernels/head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/guarded_pages.h"

namespace lmbits::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class Head : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "this machine has no " << isa_name(GetParam());
  }

  static std::vector<NllState> states(const Linear& map, const std::vector<float>& weight, const std::vector<float>& x,
                                      const std::vector<std::int32_t>& targets) {
    std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), map) / 4));
    pack_linear(GetParam(), map, weight.data(), nullptr, packed.data());
    std::vector<NllState> state(targets.size());
    head_nll(GetParam(), map, packed.data(), x.data(), static_cast<std::int64_t>(targets.size()), targets.data(),
             state.data());
    return state;
  }

  static std::vector<double> bits(const std::vector<NllState>& state) {
    std::vector<double> bits(state.size());
    nll_finish(state.data(), bits.data(), static_cast<std::int64_t>(state.size()));
    return bits;
  }

  // Bits of each target where the logits of every row are `logits`: a weight of one input, which is 1.
  static std::vector<double> bits_of(const std::vector<float>& logits, const std::vector<std::int32_t>& targets) {
    const std::vector<float> ones(targets.size(), 1.0F);
    return bits(states({.n_in = 1, .n_out = static_cast<std::int64_t>(logits.size())}, logits, ones, targets));
  }

  static double reference(const std::vector<float>& logits, std::int32_t target) {
    NllState state;
    nll_init(&state, 1);
    const auto n = static_cast<std::int64_t>(logits.size());
    nll_update_reference(logits.data(), &target, &state, {1, n, n, 0});
    double bits = 0.0;
    nll_finish(&state, &bits, 1);
    return bits;
  }
};

std::vector<float> normal(std::size_t n, float deviation, unsigned seed = 3) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0.0F, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = distribution(generator);
  return values;
}

TEST_P(Head, AgreesWithTheDoubleReferenceAtEveryWidthAndNumberOfRows) {
  for (std::int64_t vocab = 1; vocab <= 100; ++vocab) {
    for (const std::int64_t n_in : {1, 7, 64}) {
      const std::int64_t n_rows = 1 + vocab % 27;
      const Linear map{.n_in = n_in, .n_out = vocab};
      const auto weight = normal(static_cast<std::size_t>(vocab * n_in), 0.7F);
      const auto x = normal(static_cast<std::size_t>(n_rows * n_in), 1.0F, 11);
      std::vector<std::int32_t> targets;
      for (std::int64_t row = 0; row < n_rows; ++row) targets.push_back(static_cast<std::int32_t>(row * 31 % vocab));
      const auto actual = bits(states(map, weight, x, targets));
      std::vector<double> logits(static_cast<std::size_t>(n_rows * vocab));
      linear_reference(map, weight.data(), nullptr, x.data(), n_rows, nullptr, logits.data());
      for (std::int64_t row = 0; row < n_rows; ++row) {
        const double* z = logits.data() + row * vocab;
        double sum = 0.0;
        for (std::int64_t v = 0; v < vocab; ++v) sum += std::exp(z[v] - z[targets[static_cast<std::size_t>(row)]]);
        ASSERT_NEAR(actual[static_cast<std::size_t>(row)], std::log2(sum), 1e-5) << vocab << " " << n_in << " " << row;
      }
    }
  }
}

TEST_P(Head, TotalsAgreeWithTheReferenceTo1e7) {
  for (const std::size_t vocab : {257U, 2048U, 20000U}) {
    for (const float deviation : {1.0F, 4.0F}) {
      double actual = 0.0, expected = 0.0;
      for (unsigned seed = 0; seed < 40; ++seed) {
        const auto logits = normal(vocab, deviation, seed);
        const auto target = static_cast<std::int32_t>(seed * 7919 % vocab);
        const double one = bits_of(logits, {target})[0], exact = reference(logits, target);
        ASSERT_NEAR(one, exact, 1e-6 * std::max(1.0, exact)) << vocab;
        actual += one;
        expected += exact;
      }
      EXPECT_NEAR(actual, expected, 1e-7 * expected) << vocab;
    }
  }
}

// The reference lags behind the largest logit, jumps to it, and is passed again: whatever the order, the bits are right.
TEST_P(Head, LogitsMayRiseAndFallAsTheyLike) {
  for (const float step : {0.01F, 0.2F, 0.9F, 7.9F, 8.1F, 100.0F, 1e6F}) {
    for (const bool rising : {true, false}) {
      std::vector<float> logits(3000);
      for (std::size_t v = 0; v < logits.size(); ++v)
        logits[v] = step * static_cast<float>(rising ? v / 13 : (logits.size() - v) / 13);
      for (const std::int32_t target : {0, 1500, 2999}) {
        const double expected = reference(logits, target);
        EXPECT_NEAR(bits_of(logits, {target})[0], expected, 1e-6 * std::max(1.0, expected)) << step << " " << rising;
      }
    }
  }
}

TEST_P(Head, EqualLogitsCostExactlyLog2OfTheirNumber) {
  for (const int log2_cols : {0, 1, 5, 8, 11, 15}) {
    for (const float logit : {0.0F, -3.5F, 1e4F, -1e30F})
      EXPECT_EQ(bits_of(std::vector<float>(std::size_t{1} << log2_cols, logit), {0})[0], log2_cols) << logit;
  }
}

TEST_P(Head, TheLargestLogitIsKnownExactly) {
  const auto logits = normal(777, 5.0F);
  const auto largest = std::max_element(logits.begin(), logits.end());
  const auto target = static_cast<std::int32_t>(largest - logits.begin());
  const NllState state = states({.n_in = 1, .n_out = 777}, logits, {1.0F}, {target})[0];
  EXPECT_EQ(state.max, *largest);
  EXPECT_EQ(state.target, *largest);
}

TEST_P(Head, MinusInfinityIsProbabilityZeroAndAllOfItIsUndefined) {
  for (std::size_t vocab = 2; vocab <= 140; ++vocab) {
    std::vector<float> logits(vocab, -kInf);
    EXPECT_TRUE(std::isnan(bits_of(logits, {0})[0]));
    logits[vocab / 2] = logits[vocab - 1] = -2.0F;
    EXPECT_EQ(bits_of(logits, {static_cast<std::int32_t>(vocab - 1)})[0], vocab / 2 == vocab - 1 ? 0.0 : 1.0) << vocab;
    EXPECT_EQ(bits_of(logits, {0})[0], vocab / 2 == 0 ? 1.0 : kInf);
  }
}

TEST_P(Head, ANaNOrPlusInfinityAnywhereGivesNaN) {
  for (const std::size_t vocab : {1U, 16U, 33U, 67U, 150U}) {
    for (std::size_t at = 0; at < vocab; ++at) {
      for (const float bad : {kNaN, kInf}) {
        for (const float other : {0.0F, -kInf, 100.0F}) {
          std::vector<float> logits(vocab, other);
          logits[at] = bad;
          ASSERT_TRUE(std::isnan(bits_of(logits, {0})[0])) << vocab << " " << at << " " << bad << " " << other;
        }
      }
    }
  }
}

TEST_P(Head, ATargetOutOfRangeGivesNaN) {
  for (const std::int32_t target :
       {-1, 70, 71, 95, 96, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()})
    EXPECT_TRUE(std::isnan(bits_of(std::vector<float>(70, 1.0F), {target})[0])) << target;
}

TEST_P(Head, ARowsStateDependsOnItsOwnValuesOnly) {
  constexpr std::int64_t kRows = 150, kIn = 24;
  for (const std::int64_t vocab : {31, 257, 2100}) {
    const Linear map{.n_in = kIn, .n_out = vocab};
    const auto weight = normal(static_cast<std::size_t>(vocab * kIn), 1.0F), x = normal(kRows * kIn, 1.0F, 5);
    std::vector<std::int32_t> targets(kRows);
    for (std::size_t i = 0; i < kRows; ++i) targets[i] = static_cast<std::int32_t>(i * 97 % std::size_t(vocab));
    const auto expected = states(map, weight, x, targets);
    for (const std::size_t n_rows : {1U, 11U, 12U, 13U, 47U, 48U, 49U, 61U}) {
      std::vector<std::size_t> order(kRows);
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(n_rows)));
      std::vector<float> some;
      std::vector<std::int32_t> some_targets;
      for (std::size_t i = 0; i < n_rows; ++i) {
        some.insert(some.end(), &x[order[i] * kIn], &x[order[i] * kIn] + kIn);
        some_targets.push_back(targets[order[i]]);
      }
      const auto actual = states(map, weight, some, some_targets);
      for (std::size_t i = 0; i < n_rows; ++i) {
        const NllState &a = actual[i], &b = expected[order[i]];
        ASSERT_TRUE(a.sum == b.sum && a.max == b.max && a.target == b.target) << vocab << " " << n_rows << " " << i;
      }
    }
  }
}

TEST_P(Head, ReadsNothingOutsideItsTensors) {
  GuardedPages pages(4);
  for (const std::int64_t n_rows : {1, 5, 12, 13}) {
    for (const std::int64_t n_in : {3, 16}) {
      const Linear map{.n_in = n_in, .n_out = 40};
      std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), map) / 4));
      const auto weight = normal(static_cast<std::size_t>(40 * n_in), 1.0F);
      pack_linear(GetParam(), map, weight.data(), nullptr, packed.data());
      float* end = pages.floats().data() + pages.floats().size();
      float* x = end - n_rows * n_in;
      std::fill(x, end, 0.5F);
      const std::vector<std::int32_t> targets(static_cast<std::size_t>(n_rows), 39);
      std::vector<NllState> state(targets.size());
      head_nll(GetParam(), map, packed.data(), x, n_rows, targets.data(), state.data());
      for (const NllState& s : state) EXPECT_EQ(s.sum, state[0].sum);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Head, ::testing::ValuesIn(kAllIsas), [](const auto& isa) { return isa_name(isa.param); });

}  // namespace
}  // namespace lmbits::kernels
