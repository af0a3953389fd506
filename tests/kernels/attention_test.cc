#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/rows.h"
#include "tests/support/guarded_pages.h"

namespace lmbits::kernels {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// q, k and v as a product leaves them: [B, T, (H + 2 H_kv) S].
struct Problem {
  AttentionShape shape;
  std::int64_t width;
  std::vector<float> qkv;

  explicit Problem(const AttentionShape& shape_, float spread = 1.0F)
      : shape(shape_), width((shape.n_heads + 2 * shape.n_kv_heads) * shape.head_size) {
    std::mt19937 generator(5);
    std::normal_distribution<float> normal(0.0F, spread);
    qkv.resize(static_cast<std::size_t>(shape.n_sequences * shape.n_positions * width));
    for (float& value : qkv) value = normal(generator);
  }
  HeadsView<const float> part(std::int64_t first_head) const {
    return {qkv.data() + first_head * shape.head_size, shape.n_positions * width, shape.head_size, width};
  }
  HeadsView<const float> q() const { return part(0); }
  HeadsView<const float> k() const { return part(shape.n_heads); }
  HeadsView<const float> v() const { return part(shape.n_heads + shape.n_kv_heads); }
  std::size_t n_out() const {
    return static_cast<std::size_t>(shape.n_sequences * shape.n_heads * shape.n_positions * shape.head_size);
  }

  // [B, H, T, S]
  std::vector<float> run(Isa isa, const std::int64_t* first_query = nullptr) const {
    std::vector<float> out(n_out(), kNaN), workspace(static_cast<std::size_t>(attention_workspace(isa, shape)), kNaN);
    const std::int64_t head = shape.n_positions * shape.head_size;
    causal_attention(isa, shape, q(), k(), v(), {out.data(), shape.n_heads * head, head, shape.head_size},
                     workspace.data(), first_query);
    return out;
  }
  std::vector<double> reference() const {
    std::vector<double> out(n_out());
    causal_attention_reference(shape, q(), k(), v(), out.data());
    return out;
  }
};

class Attention : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "this machine has no " << isa_name(GetParam());
  }
};

TEST_P(Attention, AgreesWithTheDoubleReferenceAtEveryLengthAndHeadSize) {
  for (const std::int64_t head_size : {1, 4, 8, 12, 16, 20, 32, 40, 64, 80}) {
    for (const std::int64_t n_positions : {1, 2, 5, 11, 12, 13, 16, 17, 31, 32, 33, 50, 97}) {
      const Problem problem({2, 4, 2, n_positions, head_size, 0.7F / std::sqrt(float(head_size))});
      const auto out = problem.run(GetParam());
      const auto expected = problem.reference();
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(out[i], expected[i], 2e-6) << "T " << n_positions << ", S " << head_size << ", at " << i;
      }
    }
  }
}

// Keys and values kept one position at a time: the same bits as a whole window, also where a window begins anew in what an
// older one left.
TEST_P(Attention, KeptKeysAndValuesGiveTheSameBits) {
  for (const std::int64_t head_size : {1, 8, 16, 20, 32, 64, 80}) {
    const std::int64_t n_positions = 70;
    const Problem problem({1, 4, 2, n_positions, head_size, 0.7F / std::sqrt(float(head_size))});
    const std::vector<float> expected = problem.run(GetParam());
    AttentionShape room = problem.shape;
    room.n_positions = 96;  // more than is used
    std::vector<float> cache(static_cast<std::size_t>(attention_cache_size(GetParam(), room)), kNaN);
    std::vector<float> workspace(static_cast<std::size_t>(attention_workspace(GetParam(), room)), kNaN);
    for (const std::int64_t length : {n_positions, std::int64_t{40}}) {
      for (std::int64_t t = 0; t < length; ++t) {
        keep_position(GetParam(), room, cache.data(), t, problem.k().data + t * problem.width, head_size,
                      problem.v().data + t * problem.width, head_size);
        std::vector<float> out(static_cast<std::size_t>(4 * head_size), kNaN);
        attend_kept(GetParam(), room, cache.data(), t, problem.q().data + t * problem.width, head_size, out.data(),
                    head_size, workspace.data());
        for (std::int64_t h = 0; h < 4; ++h) {
          const float* row = expected.data() + (h * n_positions + t) * head_size;
          ASSERT_EQ(0, std::memcmp(row, out.data() + h * head_size, static_cast<std::size_t>(head_size) * 4))
              << "S " << head_size << ", t " << t << ", head " << h;
        }
      }
    }
  }
}

// Scores of hundreds: the softmax is nearly one-hot, and its exponentials underflow.
TEST_P(Attention, AgreesWithTheDoubleReferenceAtLargeScores) {
  const Problem problem({1, 2, 1, 80, 16, 1.0F}, 6.0F);
  const auto out = problem.run(GetParam());
  const auto expected = problem.reference();
  for (std::size_t i = 0; i < out.size(); ++i)
    ASSERT_NEAR(out[i], expected[i], 1e-3 * (1.0 + std::fabs(expected[i]))) << i;
}

TEST_P(Attention, ARowIsBitIdenticalWhateverComesAfterIt) {
  const Problem whole({1, 2, 2, 75, 24, 0.2F});
  const auto expected = whole.run(GetParam());
  for (std::int64_t n_positions = 1; n_positions < 75; n_positions += 3) {
    Problem cut({1, 2, 2, n_positions, 24, 0.2F});
    std::copy_n(whole.qkv.begin(), cut.qkv.size(), cut.qkv.begin());
    const auto out = cut.run(GetParam());
    for (std::int64_t head = 0; head < 2; ++head) {
      EXPECT_EQ(std::memcmp(out.data() + head * n_positions * 24, expected.data() + head * 75 * 24,
                            static_cast<std::size_t>(n_positions * 24) * sizeof(float)),
                0)
          << n_positions;
    }
  }
}

TEST_P(Attention, NoRowIsSkippedFromTheFirstQueryOn) {
  const Problem problem({3, 2, 1, 60, 16, 0.25F});
  const auto expected = problem.run(GetParam());
  const std::int64_t first[] = {0, 31, 60};
  const auto out = problem.run(GetParam(), first);
  for (std::int64_t b = 0; b < 3; ++b) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t t = first[b]; t < 60; ++t) {
        const std::int64_t at = ((b * 2 + h) * 60 + t) * 16;
        EXPECT_EQ(std::memcmp(&out[static_cast<std::size_t>(at)], &expected[static_cast<std::size_t>(at)], 64), 0)
            << b << " " << t;
      }
    }
  }
}

TEST_P(Attention, TouchesNothingOutsideItsTensors) {
  GuardedPages in(8), out_pages(4);
  for (const std::int64_t head_size : {3, 16, 17}) {
    for (const std::int64_t n_positions : {1, 13, 33}) {
      const Problem problem({1, 1, 1, n_positions, head_size, 0.3F});
      float* qkv = std::copy(problem.qkv.begin(), problem.qkv.end(),
                             in.floats().data() + in.floats().size() - problem.qkv.size()) -
                   problem.qkv.size();
      float* out = out_pages.floats().data() + out_pages.floats().size() - problem.n_out();
      std::vector<float> workspace(static_cast<std::size_t>(attention_workspace(GetParam(), problem.shape)));
      const auto part = [&](std::int64_t i) {
        return HeadsView<const float>{qkv + i * head_size, 0, 0, 3 * head_size};
      };
      causal_attention(GetParam(), problem.shape, part(0), part(1), part(2), {out, 0, 0, head_size}, workspace.data());
      EXPECT_EQ(std::vector<float>(out, out + problem.n_out()), problem.run(GetParam()));
    }
  }
}

TEST_P(Attention, ANaNSurfacesFromItsPositionOn) {
  Problem problem({1, 1, 1, 40, 16, 0.25F});
  problem.qkv[static_cast<std::size_t>(24 * problem.width + 16)] = kNaN;  // a key
  const auto out = problem.run(GetParam());
  for (std::size_t t = 0; t < 40; ++t) EXPECT_EQ(std::isnan(out[t * 16]), t >= 24) << t;
}

TEST_P(Attention, RotatesPairsHalfAHeadApart) {
  for (const std::int64_t head_size : {2, 6, 16, 32, 34, 64}) {
    const Problem problem({2, 3, 3, 9, head_size, 1.0F});
    const std::int64_t n = head_size / 2;
    std::vector<float> cos, sin, y(problem.n_out());
    for (std::int64_t i = 0; i < 9 * n; ++i) {
      cos.push_back(std::cos(0.1F * float(i)));
      sin.push_back(std::sin(0.1F * float(i)));
    }
    rotate_heads(GetParam(), problem.shape, problem.q(), cos.data(), sin.data(),
                 {y.data(), 3 * 9 * head_size, 9 * head_size, head_size});
    for (std::int64_t row = 0; row < 2 * 3 * 9; ++row) {
      const float* x = problem.q().at(row / 27, row / 9 % 3) + row % 9 * problem.width;
      for (std::int64_t i = 0; i < n; ++i) {
        const double c = cos[static_cast<std::size_t>(row % 9 * n + i)],
                     s = sin[static_cast<std::size_t>(row % 9 * n + i)];
        ASSERT_NEAR(y[static_cast<std::size_t>(row * head_size + i)], x[i] * c - x[n + i] * s, 1e-6);
        ASSERT_NEAR(y[static_cast<std::size_t>(row * head_size + n + i)], x[n + i] * c + x[i] * s, 1e-6);
      }
    }
  }
}

TEST_P(Attention, RotatingInsideIsRotatingBefore) {
  for (const std::int64_t head_size : {2, 6, 16, 32, 34, 64, 80}) {
    for (const std::int64_t n_positions : {1, 12, 13, 33, 50}) {
      const Problem problem({2, 4, 2, n_positions, head_size, 0.3F});
      const std::int64_t n = head_size / 2;
      std::vector<float> cos, sin;
      for (std::int64_t i = 0; i < n_positions * n; ++i) {
        cos.push_back(std::cos(0.1F * float(i)));
        sin.push_back(std::sin(0.1F * float(i)));
      }
      Problem rotated = problem;
      AttentionShape both = problem.shape;  // q's heads and k's lie side by side
      both.n_heads = 6;
      rotate_heads(GetParam(), both, problem.q(), cos.data(), sin.data(),
                   {rotated.qkv.data(), n_positions * rotated.width, head_size, rotated.width});
      std::vector<float> workspace(static_cast<std::size_t>(attention_workspace(GetParam(), problem.shape)), kNaN);
      std::vector<float> out(problem.n_out(), kNaN);
      const std::int64_t head = n_positions * head_size;
      causal_attention(GetParam(), problem.shape, problem.q(), problem.k(), problem.v(),
                       {out.data(), 4 * head, head, head_size}, workspace.data(), nullptr, {cos.data(), sin.data()});
      EXPECT_EQ(out, rotated.run(GetParam())) << head_size << " " << n_positions;
    }
  }
}

TEST_P(Attention, NormsEveryRow) {
  for (const std::int64_t n : {1, 5, 16, 33, 96}) {
    std::mt19937 generator(9);
    std::normal_distribution<float> normal;
    std::vector<float> x(static_cast<std::size_t>(101 * n)), gain(static_cast<std::size_t>(n)), y(x.size());
    for (float& value : x) value = normal(generator);
    for (float& value : gain) value = normal(generator);
    rms_norm(GetParam(), x.data(), 101, n, gain.data(), 1e-5F, y.data());
    for (std::int64_t row = 0; row < 101; ++row) {
      double squares = 0.0;
      for (std::int64_t i = 0; i < n; ++i) squares += std::pow(double{x[static_cast<std::size_t>(row * n + i)]}, 2);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(row * n + i);
        const double expected = x[at] / std::sqrt(squares / double(n) + 1e-5) * gain[static_cast<std::size_t>(i)];
        ASSERT_NEAR(y[at], expected, 1e-6 * (1.0 + std::fabs(expected))) << row << " " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Attention, ::testing::ValuesIn(kAllIsas),
                         [](const auto& isa) { return isa_name(isa.param); });

}  // namespace
}  // namespace lmbits::kernels
