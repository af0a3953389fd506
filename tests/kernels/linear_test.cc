#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/support/guarded_pages.h"

namespace lmbits::kernels {
namespace {

std::vector<float> random_floats(std::int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

constexpr WeightFormat kFormats[] = {WeightFormat::kFloat32, WeightFormat::kBFloat16, WeightFormat::kInt8};

struct Problem {
  Linear map;
  std::int64_t n_rows;
  bool with_gain = false, with_residual = false;
  std::vector<float> weight, gain, x, residual;

  Problem(const Linear& map_, std::int64_t rows, bool gain_, bool residual_)
      : map(map_), n_rows(rows), with_gain(gain_), with_residual(residual_) {
    weight = random_floats(map.n_in * map.n_out * (map.gated ? 2 : 1), 1);
    for (float& value : weight) value /= std::sqrt(static_cast<float>(map.n_in));  // outputs of order 1
    gain = random_floats(map.n_in, 2);
    x = random_floats(map.n_in * n_rows, 3);
    residual = random_floats(map.n_out * n_rows, 4);
  }
  const float* gains() const { return with_gain ? gain.data() : nullptr; }
  const float* residuals() const { return with_residual ? residual.data() : nullptr; }

  std::vector<float> run(Isa isa) const {
    std::vector<float> packed(static_cast<std::size_t>(packed_bytes(isa, map) / 4));
    pack_linear(isa, map, weight.data(), gains(), packed.data());
    std::vector<float> y(static_cast<std::size_t>(n_rows * map.n_out));
    linear(isa, map, packed.data(), x.data(), n_rows, residuals(), y.data());
    return y;
  }
  std::vector<double> reference() const {
    std::vector<double> y(static_cast<std::size_t>(n_rows * map.n_out));
    linear_reference(map, weight.data(), gains(), x.data(), n_rows, residuals(), y.data());
    return y;
  }
};

class LinearMap : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "this machine has no " << isa_name(GetParam());
  }
};

TEST_P(LinearMap, AgreesWithTheDoubleReferenceAtEveryWidth) {
  for (const std::int64_t n_in : {1, 2, 7, 16, 31, 48, 100}) {
    for (const std::int64_t n_out : {1, 3, 8, 15, 16, 17, 32, 33, 63, 64, 70}) {
      for (int variant = 0; variant < 8; ++variant) {
        Linear map{n_in, n_out, (variant & 1) != 0};
        if (variant & 2) map.norm_eps = 0.25F;
        const Problem problem(map, 13, (variant & 2) != 0, (variant & 4) != 0);
        const auto y = problem.run(GetParam());
        const auto expected = problem.reference();
        for (std::size_t i = 0; i < y.size(); ++i) {
          const double tolerance = 1e-6 * (4.0 + std::fabs(expected[i]));
          ASSERT_NEAR(y[i], expected[i], tolerance)
              << n_in << " -> " << n_out << ", variant " << variant << ", at " << i;
        }
      }
    }
  }
}

TEST_P(LinearMap, ARowDependsOnItselfAlone) {
  Linear map{24, 40, false, 1e-6F};
  const Problem all(map, 131, true, true);
  const auto y = all.run(GetParam());
  for (std::int64_t first : {0, 1, 11, 47, 48, 49, 96, 130}) {
    for (std::int64_t n : {1, 2, 12, 13, 48, 60}) {
      if (first + n > 131) continue;
      Problem part(map, n, true, true);
      std::copy_n(all.x.begin() + first * 24, n * 24, part.x.begin());
      std::copy_n(all.residual.begin() + first * 40, n * 40, part.residual.begin());
      const auto rows = part.run(GetParam());
      EXPECT_EQ(std::memcmp(rows.data(), y.data() + first * 40, rows.size() * sizeof(float)), 0) << first << " + " << n;
    }
  }
}

// Wider than a chunk of a panel, and more rows than stay in cache: sums wait in memory, and a last tile repeats rows.
TEST_P(LinearMap, AgreesWithTheReferenceAcrossChunksAndBlocks) {
  for (const std::int64_t n_in : {255, 257, 520}) {
    for (const std::int64_t n_rows : {5, 239, 243, 481}) {
      for (const bool gated : {false, true}) {
        const Problem problem({n_in, 21, gated, 1e-5F}, n_rows, true, !gated);
        const auto y = problem.run(GetParam());
        const auto expected = problem.reference();
        for (std::size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(y[i], expected[i], 3e-6 * (4.0 + std::fabs(expected[i])))
              << n_in << ", " << n_rows << " rows, gated " << gated << ", at " << i;
        }
      }
    }
  }
}

TEST_P(LinearMap, ARowDependsOnItselfAloneAcrossChunksAndBlocks) {
  for (const WeightFormat format : kFormats) {
    const Linear map{601, 35, true, 1e-6F, format};
    const Problem all(map, 500, true, true);
    const auto y = all.run(GetParam());
    for (const std::int64_t first : {0, 7, 238, 240, 250}) {
      for (const std::int64_t n : {1, 13, 241, 250}) {
        Problem part(map, n, true, true);
        std::copy_n(all.x.begin() + first * 601, n * 601, part.x.begin());
        std::copy_n(all.residual.begin() + first * 35, n * 35, part.residual.begin());
        const auto rows = part.run(GetParam());
        EXPECT_EQ(std::memcmp(rows.data(), y.data() + first * 35, rows.size() * sizeof(float)), 0)
            << "format " << static_cast<int>(format) << ", " << first << " + " << n;
      }
    }
  }
}

// To 8 significant bits, ties to even.
float nearest_bfloat16(float value) {
  int exponent;
  const double mantissa = std::frexp(double{value}, &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
}

// The weight of `problem`, its gain included, as the format keeps it.
std::vector<float> rounded_weight(const Problem& problem) {
  std::vector<float> rounded = problem.weight;
  const auto n_in = static_cast<std::size_t>(problem.map.n_in);
  for (std::size_t row = 0; row < rounded.size(); row += n_in) {
    float max = 0.0F;
    for (std::size_t i = 0; i < n_in; ++i) {
      rounded[row + i] *= problem.with_gain ? problem.gain[i] : 1.0F;
      max = std::max(max, std::fabs(rounded[row + i]));
    }
    for (std::size_t i = 0; i < n_in; ++i) {
      float& value = rounded[row + i];
      if (problem.map.format == WeightFormat::kBFloat16) value = nearest_bfloat16(value);
      if (problem.map.format == WeightFormat::kInt8) value = std::round(value / (max / 127.0F)) * (max / 127.0F);
    }
  }
  return rounded;
}

TEST_P(LinearMap, ARoundedWeightIsThatOfItsFormat) {
  for (const WeightFormat format : {WeightFormat::kBFloat16, WeightFormat::kInt8}) {
    for (const std::int64_t n_in : {1, 3, 64, 601}) {
      for (int variant = 0; variant < 4; ++variant) {
        const bool gated = (variant & 1) != 0, with_gain = (variant & 2) != 0;
        const Problem problem({n_in, 37, gated, 0.25F, format}, 250, with_gain, true);
        const auto y = problem.run(GetParam());
        std::vector<double> expected(y.size());
        linear_reference(problem.map, rounded_weight(problem).data(), nullptr, problem.x.data(), 250,
                         problem.residuals(), expected.data());
        for (std::size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(y[i], expected[i], 3e-6 * (4.0 + std::fabs(expected[i])))
              << "format " << static_cast<int>(format) << ", " << n_in << ", variant " << variant << ", at " << i;
        }
      }
    }
  }
}

TEST_P(LinearMap, BFloat16RoundsTiesToEven) {
  const Linear map{1, 4, false, {}, WeightFormat::kBFloat16};
  std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), map) / 4));
  const float weight[] = {0x1.01p0F, 0x1.03p0F, -0x1.03p0F, 0x1.010002p0F}, x = 1.0F;
  pack_linear(GetParam(), map, weight, nullptr, packed.data());
  std::vector<float> y(4);
  linear(GetParam(), map, packed.data(), &x, 1, nullptr, y.data());
  EXPECT_EQ(y, (std::vector<float>{1.0F, 0x1.04p0F, -0x1.04p0F, 0x1.02p0F}));
}

TEST_P(LinearMap, BFloat16EndsBelowFloat32) {
  const Linear map{1, 4, false, {}, WeightFormat::kBFloat16};
  std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), map) / 4));
  const float weight[] = {0x1.fefffep127F, 0x1.ffp127F, -0x1.ffp127F, 0x1.fffffep127F}, x = 1.0F;
  pack_linear(GetParam(), map, weight, nullptr, packed.data());
  std::vector<float> y(4);
  linear(GetParam(), map, packed.data(), &x, 1, nullptr, y.data());
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(y, (std::vector<float>{0x1.fep127F, kInfinity, -kInfinity, kInfinity}));
}

TEST_P(LinearMap, RoundedWeightsTakeAHalfAndAQuarter) {
  const Linear exact{576, 960}, half{576, 960, false, {}, WeightFormat::kBFloat16},
      quarter{576, 960, false, {}, WeightFormat::kInt8};
  EXPECT_EQ(packed_bytes(GetParam(), exact), 576 * 960 * 4);
  EXPECT_EQ(packed_bytes(GetParam(), half), 576 * 960 * 2);
  EXPECT_EQ(packed_bytes(GetParam(), quarter), (576 + 4) * 960);
}

TEST_P(LinearMap, AWeightThatIsNotFiniteSpoilsItsOutputOnly) {
  for (const WeightFormat format : {WeightFormat::kBFloat16, WeightFormat::kInt8}) {
    Problem problem({20, 35, false, {}, format}, 13, false, false);
    problem.weight[3 * 20 + 7] = std::numeric_limits<float>::quiet_NaN();
    problem.weight[33 * 20] = std::numeric_limits<float>::infinity();
    const auto y = problem.run(GetParam());
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isfinite(y[i]), i % 35 != 3 && i % 35 != 33) << i;
  }
}

TEST_P(LinearMap, TouchesNothingOutsideItsRows) {
  GuardedPages x_pages(4), y_pages(4), r_pages(4);
  for (const std::int64_t n_in : {1, 5, 16, 19}) {
    for (const std::int64_t n_out : {1, 7, 16, 17, 31, 33}) {
      for (const std::int64_t n_rows : {1, 5, 12, 15}) {
        for (int variant = 0; variant < 6; ++variant) {
          const Problem problem({n_in, n_out, variant >= 3, 1e-5F, kFormats[variant % 3]}, n_rows, true, true);
          const auto at_end = [](GuardedPages& pages, std::size_t n) {
            return pages.floats().data() + pages.floats().size() - n;
          };
          const std::size_t n_x = problem.x.size(), n_y = problem.residual.size();
          float* x = std::copy(problem.x.begin(), problem.x.end(), at_end(x_pages, n_x)) - n_x;
          float* r = std::copy(problem.residual.begin(), problem.residual.end(), at_end(r_pages, n_y)) - n_y;
          float* y = at_end(y_pages, n_y);
          y[-1] = 77.0F;
          std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), problem.map) / 4));
          pack_linear(GetParam(), problem.map, problem.weight.data(), problem.gains(), packed.data());
          linear(GetParam(), problem.map, packed.data(), x, n_rows, r, y);
          EXPECT_EQ(y[-1], 77.0F);
          EXPECT_EQ(std::vector<float>(y, y + n_y), problem.run(GetParam()));
        }
      }
    }
  }
}

// x^2 e^-x has no digits left at x = 100, but neither tail may give NaN: silu(-200) = 0, silu(200) = 200. The sigmoid is never
// less than e^-87, which is all that is left of it there.
TEST_P(LinearMap, TheGateHoldsAtBothEnds) {
  const Linear map{1, 1, true};
  std::vector<float> packed(static_cast<std::size_t>(packed_bytes(GetParam(), map) / 4));
  const float weight[] = {1.0F, 0.5F};
  pack_linear(GetParam(), map, weight, nullptr, packed.data());
  for (const float x : {-1e30F, -200.0F, -90.0F, -10.0F, -1e-3F, 0.0F, 1e-3F, 10.0F, 90.0F, 200.0F, 1e18F}) {
    float y;
    linear(GetParam(), map, packed.data(), &x, 1, nullptr, &y);
    const double expected = double{x} / (1.0 + std::exp(-double{x})) * x * 0.5;
    EXPECT_NEAR(y, expected, 1e-6 * std::fabs(expected) + 1.7e-38 * x * x) << x;
  }
}

TEST_P(LinearMap, ANaNSurfacesInItsRowOnly) {
  Problem problem({20, 35, true, 1e-5F}, 30, true, false);
  problem.x[17 * 20 + 3] = std::numeric_limits<float>::quiet_NaN();
  const auto y = problem.run(GetParam());
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 35 == 17) << i;
}

INSTANTIATE_TEST_SUITE_P(All, LinearMap, ::testing::ValuesIn(kAllIsas),
                         [](const auto& isa) { return isa_name(isa.param); });

}  // namespace
}  // namespace lmbits::kernels
