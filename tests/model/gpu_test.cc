// What only a GPU can show; skipped, saying why, where there is none.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/model/device.h"
#include "src/model/load.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

using kernels::LogitType;

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_cuda_device()) GTEST_SKIP() << "no GPU: " << *why;
    prepare_torch();
  }
};

struct Row {
  at::ScalarType type;
  LogitType kind;
  std::int64_t n_cols;
  double tolerance;  // of max(1, bits), against the double reference on the very same logits
};

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const std::int64_t n_cols : {1, 257, 32000, 50257, 128256, 256000}) {
    all.push_back({at::kFloat, LogitType::kFloat32, n_cols, 2e-6});
    all.push_back({at::kBFloat16, LogitType::kBFloat16, n_cols, 2e-6});
    all.push_back({at::kHalf, LogitType::kFloat16, n_cols, 2e-6});
  }
  return all;
}

at::Tensor bits_of(const at::Tensor& logits, LogitType kind, const at::Tensor& targets) {
  const at::Tensor bits = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  kernels::nll_rows({logits.data_ptr(), kind, nullptr, targets.data_ptr<std::int32_t>(), logits.size(0), logits.size(1),
                     logits.stride(0), 0, 1.0F, 0.0F},
                    {bits.data_ptr<float>(), nullptr, nullptr, nullptr, nullptr}, nullptr);
  return bits.cpu();
}

TEST_F(Gpu, AgreesWithTheCpuReference) {
  const c10::InferenceMode inference;
  for (const Row& row : rows()) {
    const at::Tensor here = (at::randn({5, row.n_cols}) * 4).to(row.type);
    const at::Tensor targets = at::randint(row.n_cols, {5}, at::kInt);
    const at::Tensor bits = bits_of(here.cuda(), row.kind, targets.cuda());
    std::vector<kernels::NllRowReference> expected(5);
    kernels::nll_rows_reference({here.data_ptr(), row.kind, nullptr, targets.data_ptr<std::int32_t>(), 5, row.n_cols,
                                 row.n_cols, 0, 1.0F, 0.0F},
                                expected.data(), nullptr);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(bits.data_ptr<float>()[i], expected[i].bits, row.tolerance * std::max(1.0, expected[i].bits))
          << toString(row.type) << ", " << row.n_cols << " columns";
    }
  }
}

TEST_F(Gpu, ARowHasTheSameBitsWhereverItStands) {
  const c10::InferenceMode inference;
  for (const Row& row : rows()) {
    const at::Tensor logits = (at::randn({64, row.n_cols}) * 4).to(row.type).cuda();
    const at::Tensor targets = at::randint(row.n_cols, {64}, at::kInt).cuda();
    const at::Tensor order = at::randperm(64, at::kLong), there = order.cuda();
    const at::Tensor bits = bits_of(logits, row.kind, targets);
    const at::Tensor shuffled = bits_of(logits.index_select(0, there), row.kind, targets.index_select(0, there));
    EXPECT_TRUE(at::equal(shuffled, bits.index_select(0, order)))
        << toString(row.type) << ", " << row.n_cols << " columns";
  }
}

Batch random_batch(std::int64_t n_sequences, std::int64_t seed = 0) {
  Batch batch;
  batch.n_sequences = n_sequences;
  batch.n_positions = 64;
  for (std::int64_t i = 0; i < 64 * n_sequences; ++i) {
    batch.ids.push_back((i * 37 + seed * 11) % 256);
    batch.rows.push_back(i);
    batch.targets.push_back(static_cast<std::int32_t>((i * 5 + 3) % 256));
  }
  return batch;
}

TEST_F(Gpu, AGraphGivesTheBitsOfTheOperatorsToTheLast) {
  testing::TemporaryFolder folder;
  const std::string path = testing::write_toy_bundle(folder / "toy.pt", {});
  const auto eager = open_model({{}, path}, {.device = "cuda", .graphs = false});
  const auto model = open_model({{}, path}, {.device = "cuda"});
  eager->load();
  model->load();
  for (int i = 0; i < 6; ++i) {
    const Batch batch = random_batch(64, i);
    std::vector<double> expected, got;
    eager->score(batch, expected);
    model->score(batch, got);
    EXPECT_EQ(got, expected) << i;
  }
  const Json graphs = model->devices().at(0).at("graphs");
  EXPECT_GE(graphs["captured"].get<int>(), 1) << graphs;
}

TEST_F(Gpu, OutOfMemoryUnderACapLosesNothing) {
  testing::TemporaryFolder folder;
  const auto model = open_model({{}, testing::write_toy_bundle(folder / "toy.pt", {})}, {.device = "cuda"});
  model->load();
  const Batch batch = random_batch(4096);
  std::vector<double> expected, got;
  model->score(batch, expected);
  std::vector<at::Tensor> cap;  // takes all memory but some
  for (std::int64_t bytes = std::int64_t{1} << 36; bytes >= (16 << 20);) {
    try {
      cap.push_back(at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(at::kCUDA, 0)));
    } catch (const c10::OutOfMemoryError&) {
      bytes /= 2;
    }
  }
  cap.resize(cap.size() - std::min<std::size_t>(cap.size(), 4));
  model->score(batch, got);
  EXPECT_FALSE(model->devices().at(0).at("back_offs").empty());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-5 * (1 + expected[i]));
}

}  // namespace
}  // namespace lmbits
