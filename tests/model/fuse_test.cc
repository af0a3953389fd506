#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "kernels/isa.h"
#include "src/core/error.h"
#include "src/model/head_nll.h"
#include "src/model/load.h"
#include "src/model/torch_module.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

using testing::TemporaryFolder;
using testing::ToyBundle;

// What rows() gives for ids [2,T], before and after our kernels are put in, and how many were.
struct Comparison {
  int n_fused;
  double error;  // of the norm
};

Comparison compare(const std::string& path, std::int64_t vocab, std::int64_t length, std::int64_t step) {
  prepare_torch();
  const c10::InferenceMode inference;
  const at::Tensor ids = (at::arange(2 * length, at::kLong).reshape({2, length}) * 7919 + 3).remainder(vocab);
  const at::Tensor rows = at::arange(length / 3, 2 * length, step, at::kLong);
  TorchModule module(path, WeightDtype::kFloat32);
  const at::Tensor expected = module.rows(ids, rows);
  const int n_fused = module.fuse_kernels(kernels::WeightFormat::kFloat32);
  const at::Tensor fused = module.rows(ids, rows);
  EXPECT_EQ(fused.sizes(), expected.sizes());
  return {n_fused, (fused - expected).norm().item<double>() / expected.norm().item<double>()};
}

class Fuse : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernels::best_isa() == kernels::Isa::kScalar) GTEST_SKIP() << "this machine has neither AVX2 nor AVX-512";
  }
  // `mix`, after `lines`, makes hidden states [B,T,16] from e [B,T,16]; self.weight [257,16] is at hand.
  Comparison toy(const std::string& mix, int level = 2, const std::string& lines = {}) const {
    ToyBundle toy;
    toy.mix = mix;
    toy.lines = lines;
    toy.level = level;
    const auto path = folder_.path() / "toy.pt";
    write_toy_bundle(path, toy);
    return compare(path.string(), 257, 33, 2);
  }
  TemporaryFolder folder_;
};

// A block of the demo family: 4 linear maps, an attention, a rotation; and the last norm.
TEST_F(Fuse, EveryOperatorOfTheDemoFamilyIsFusedAndComputesTheSame) {
  const std::filesystem::path demo = std::filesystem::path(std::getenv("LMBITS_SOURCE_DIR")) / "models/demo";
  const struct {
    const char* name;
    std::int64_t vocab;
    int n_layers;
  } models[] = {
      {"xs-byte-3000.pt", 257, 2}, {"s-sp-4000.pt", 2048, 2}, {"m-sp-3600.pt", 2048, 4}, {"l-sp-3300.pt", 2048, 5}};
  for (const auto& model : models) {
    for (const std::int64_t length : {1, 13, 100}) {
      const Comparison result = compare((demo / model.name).string(), model.vocab, length, 1);
      EXPECT_EQ(result.n_fused, 6 * model.n_layers + 1) << model.name;
      EXPECT_LT(result.error, 3e-6) << model.name << ", T = " << length;
    }
  }
}

const std::string kNorm = "torch.rms_norm(e, [16], self.weight[1], 1e-5)";

TEST_F(Fuse, MapsWithAndWithoutNormGateAndResidualComputeTheSame) {
  const std::pair<std::string, int> mixes[] = {
      {"torch.linear(e, self.weight[:16])", 1},
      {"e + torch.linear(e, self.weight[:16])", 1},
      {"torch.linear(" + kNorm + ", self.weight[:16]) + e", 1},
      {kNorm + " + torch.linear(" + kNorm + ", self.weight[:16])", 2},
      {"torch.linear(e, self.weight[:16]) + self.weight[3]", 1},      // a residual to broadcast
      {"torch.linear(e, self.weight[:16], self.weight[:16, 2])", 1},  // a bias
      {"e + torch.linear(" + kNorm + ", self.weight[:16], self.weight[:16, 2])", 1},
      {"torch.linear(e, self.weight[:16], e[0, 0])", 0},  // one that is no constant: not ours
      {"torch.linear(torch.dropout(e, 0.5, False).contiguous(), self.weight[:16])", 1},
      {"torch.add(e, torch.linear(e, self.weight[:16]), alpha=2)", 1},  // not a residual
  };
  for (const auto& [mix, n_fused] : mixes) {
    const Comparison result = toy(mix);
    EXPECT_EQ(result.n_fused, n_fused) << mix;
    EXPECT_LT(result.error, 3e-6) << mix;
  }
}

TEST_F(Fuse, OnlyTheFirstHalfMayBeTheGate) {
  const std::string halves = "  a, b = torch.chunk(torch.linear(" + kNorm + ", self.weight[:32]), 2, -1)\n";
  EXPECT_EQ(toy("torch.silu(a) * b", 2, halves).n_fused, 1);
  for (const char* mix :
       {"torch.silu(a) * b", "b * torch.silu(a)", "torch.silu(b) * a", "torch.silu(a) * a", "torch.silu(a) * b + a"}) {
    EXPECT_LT(toy(mix, 2, halves).error, 3e-6) << mix;
  }
}

// [B,T,16] as 2 heads of 8.
const std::string kHeads = "e.view(e.size(0), e.size(1), 2, 8).transpose(1, 2)";
std::string attention(const std::string& arguments) {
  return "torch.scaled_dot_product_attention(" + kHeads + ", " + kHeads + " * 0.5, " + kHeads + " + 1, " + arguments +
         ").transpose(1, 2).reshape(e.size(0), e.size(1), 16)";
}

TEST_F(Fuse, OnlyCausalAttentionWithoutAMaskIsReplaced) {
  EXPECT_EQ(toy(attention("None, 0.0, True")).n_fused, 1);
  EXPECT_LT(toy(attention("None, 0.0, True")).error, 3e-6);
  EXPECT_LT(toy(attention("None, 0.0, True, scale=0.3")).error, 3e-6);
  EXPECT_EQ(toy(attention("None, 0.0, False")).n_fused, 0);
  EXPECT_EQ(toy(attention("torch.ones(e.size(1), e.size(1)).tril().log(), 0.0, False")).n_fused, 0);
}

// A sliding window: plain causal attention up to its length, a mask beyond it.
TEST_F(Fuse, CausalAttentionInABranchIsReplaced) {
  for (const char* window : {"20", "33", "34"}) {
    const std::string lines = std::string("  if e.size(1) <= ") + window +
                              ":\n    y = " + attention("None, 0.0, True") +
                              "\n  else:\n    band = torch.ones(e.size(1), e.size(1)).tril().triu(-3).log()\n    y = " +
                              attention("band, 0.0, False") + "\n";
    const Comparison result = toy("e + torch.linear(y, self.weight[:16])", 2, lines);
    EXPECT_EQ(result.n_fused, 2) << window;
    EXPECT_LT(result.error, 3e-6) << window;
  }
}

// The narrowed attention feeds a linear map and a residual: rows before the first one asked for are never computed.
TEST_F(Fuse, RowsAfterAttentionAreNarrowedRightly) {
  const Comparison result = toy("e + torch.linear(" + attention("None, 0.0, True") + ", self.weight[:16])");
  EXPECT_EQ(result.n_fused, 2);
  EXPECT_LT(result.error, 3e-6);
}

TEST_F(Fuse, WhatOnlyLooksLikeARotationComputesTheSame) {
  const std::string lines =
      "  angle = torch.arange(e.size(1) * 4, dtype=6).view(e.size(1), 1, 4) * 0.1\n"
      "  c, s = torch.cos(angle), torch.sin(angle)\n"
      "  a, b = torch.chunk(e.view(e.size(0), e.size(1), 2, 8), 2, -1)\n";
  const auto rotation = [&](const std::string& first, const std::string& second) {
    return toy("torch.cat((" + first + ", " + second + "), -1).reshape(e.size(0), e.size(1), 16)", 2, lines);
  };
  EXPECT_EQ(rotation("a * c - b * s", "b * c + a * s").n_fused, 1);
  EXPECT_LT(rotation("a * c - b * s", "b * c + a * s").error, 3e-6);
  EXPECT_LT(rotation("a * c - b * s", "a * s + b * c").error, 3e-6);
  EXPECT_LT(rotation("a * c - b * s", "b * s + a * c").error, 3e-6);
  EXPECT_LT(rotation("b * c - a * s", "a * c + b * s").error, 3e-6);
  EXPECT_LT(rotation("a * s - b * c", "b * s + a * c").error, 3e-6);
}

TEST_F(Fuse, TwoMapsOfOneInputBecomeAGateAndItsValue) {
  const std::string gate = "torch.linear(" + kNorm + ", self.weight[:24])";
  const std::string lines = "  x = " + kNorm + "\n  y = torch.linear(x, self.weight[24:48])\n";
  const auto gated = [&](const std::string& product) {
    return toy("e + torch.linear(" + product + ", self.weight[:16, :1] * self.weight[:24, 3])", 2, lines);
  };
  for (const char* product :
       {"torch.silu(torch.linear(x, self.weight[:24])) * y", "y * torch.silu(torch.linear(x, self.weight[:24]))"}) {
    const Comparison result = gated(product);
    EXPECT_EQ(result.n_fused, 2) << product;  // both maps, the norm and the gate in one, the last map
    EXPECT_LT(result.error, 3e-6) << product;
  }
  for (const char* product : {"torch.silu(torch.linear(e, self.weight[:24])) * y",  // of another input
                              "torch.silu(torch.linear(x, self.weight[:24])) * y + y",
                              "torch.silu(torch.linear(x, self.weight[:24], self.weight[24:48, 1])) * y",
                              "torch.silu(torch.linear(x, self.weight[:1])) * y", "torch.silu(y) * y",
                              "torch.relu(torch.linear(x, self.weight[:24])) * y"}) {
    EXPECT_LT(gated(product).error, 3e-6) << product;
  }
}

TEST_F(Fuse, APartOfTheHeadThatIsNotTurnedIsHandedOn) {
  const std::string lines =
      "  angle = torch.arange(e.size(1) * 2, dtype=6).view(1, 1, e.size(1), 2) * 0.1\n"
      "  c, s = torch.cos(angle), torch.sin(angle)\n"
      "  h = e.view(e.size(0), e.size(1), 2, 8).transpose(1, 2)\n"
      "  a, b = torch.chunk(h[:, :, :, :4], 2, -1)\n";
  const Comparison result = toy(
      "torch.cat((a * c - b * s, b * c + a * s, h[:, :, :, 4:]), -1).transpose(1, 2).reshape(e.size(0), e.size(1), 16)",
      2, lines);
  EXPECT_EQ(result.n_fused, 1);
  EXPECT_LT(result.error, 3e-6);
}

TEST_F(Fuse, WritingInPlaceIsUndoneWhereNothingElseSeesIt) {
  const Comparison result = toy("torch.linear(e, self.weight[:16]).add_(e)");
  EXPECT_EQ(result.n_fused, 1);
  EXPECT_LT(result.error, 3e-6);
}

TEST_F(Fuse, AGraphThatWritesInPlaceIsLeftAlone) {
  const Comparison result = toy("torch.linear(e, self.weight[:16]) + e", 2, "  e[:, 0].zero_()\n");
  EXPECT_EQ(result.n_fused, 0);
  EXPECT_EQ(result.error, 0.0);
}

TEST_F(Fuse, RowsAreNarrowedThroughLayerNormAndBias) {
  const Comparison result = toy("torch.layer_norm(e + torch.linear(" + attention("None, 0.0, True") +
                                ", self.weight[:16], self.weight[:16, 2]), [16], self.weight[1], self.weight[2])");
  EXPECT_EQ(result.n_fused, 2);
  EXPECT_LT(result.error, 3e-6);
}

TEST_F(Fuse, AResidualIsBroadcastAsInTheGraph) {
  const std::string lines = "  p = torch.arange(e.size(1) * 16, dtype=6).view(1, -1, 16) * 0.01\n";
  for (const char* residual : {"p", "p[0]", "p[0, 1]", "p[:, :1]", "e[:, :1]", "e"}) {
    const Comparison result = toy("torch.linear(e, self.weight[:16]) + " + std::string(residual), 2, lines);
    EXPECT_EQ(result.n_fused, 1) << residual;
    EXPECT_LT(result.error, 3e-6) << residual;
  }
}

TEST_F(Fuse, LowerLevelsAreFusedToo) {
  for (const int level : {0, 1, 2}) {
    const Comparison result = toy("torch.linear(" + kNorm + ", self.weight[:16])", level);
    EXPECT_GE(result.n_fused, 1) << level;
    EXPECT_LT(result.error, 3e-6) << level;
  }
}

// Tables that the shape of ids decides are made once a shape: those of another shape must not be taken for them.
TEST_F(Fuse, TablesOfPositionsAreThoseOfTheShape) {
  ToyBundle toy;
  toy.lines =
      "  t = torch.arange(ids.size(1))\n"
      "  near = ((t.unsqueeze(1) - t.unsqueeze(0)).abs() < ids.size(0) + 2).float()\n";  // [T,T], with B in it
  toy.mix = "e + torch.linear(torch.matmul(near.tril(), e), self.weight[:16])";
  const auto path = folder_.path() / "toy.pt";
  write_toy_bundle(path, toy);
  prepare_torch();
  const c10::InferenceMode inference;
  TorchModule plain(path.string(), WeightDtype::kFloat32), fused(path.string(), WeightDtype::kFloat32);
  EXPECT_EQ(fused.fuse_kernels(kernels::WeightFormat::kFloat32), 1);
  const std::pair<std::int64_t, std::int64_t> shapes[] = {{2, 9}, {2, 20}, {3, 20}, {2, 9}, {1, 1}, {3, 20}};
  for (const auto& [n_sequences, length] : shapes) {
    const std::int64_t n = n_sequences * length;
    const at::Tensor ids = (at::arange(n, at::kLong).reshape({n_sequences, length}) * 7919 + 3).remainder(257);
    const at::Tensor rows = at::arange(n, at::kLong), expected = plain.rows(ids, rows);
    EXPECT_LT((fused.rows(ids, rows) - expected).norm().item<double>(), 3e-6 * expected.norm().item<double>())
        << n_sequences << " x " << length;
  }
}

// ---- rounded weights ----

TEST_F(Fuse, RoundedWeightsChangeALittleAndOnlyTheBody) {
  const std::filesystem::path demo = std::filesystem::path(std::getenv("LMBITS_SOURCE_DIR")) / "models/demo";
  prepare_torch();
  const c10::InferenceMode inference;
  const at::Tensor ids = (at::arange(192, at::kLong).reshape({2, 96}) * 7919 + 17).remainder(256);
  const at::Tensor rows = at::arange(0, 192, 3, at::kLong);
  const std::pair<const char*, int> models[] = {
      {"xs-byte-3000.pt", 8}, {"s-sp-4000.pt", 8}, {"m-sp-3600.pt", 16}, {"l-sp-3300.pt", 20}};
  for (const auto& [name, n_maps] : models) {
    const std::string path = (demo / name).string();
    TorchModule exact(path, WeightDtype::kFloat32), half(path, WeightDtype::kBFloat16Body),
        eighth(path, WeightDtype::kInt8Body);
    const at::Tensor expected = exact.rows(ids, rows);
    EXPECT_EQ(half.fuse_kernels(kernels::WeightFormat::kBFloat16), n_maps) << name;
    EXPECT_EQ(eighth.fuse_kernels(kernels::WeightFormat::kInt8), n_maps) << name;
    const auto error = [&](const TorchModule& module) {
      return (module.rows(ids, rows) - expected).norm().item<double>() / expected.norm().item<double>();
    };
    EXPECT_GT(error(half), 1e-4) << name;
    EXPECT_LT(error(half), 1e-2) << name;
    EXPECT_GT(error(eighth), 1e-3) << name;
    EXPECT_LT(error(eighth), 5e-2) << name;
    EXPECT_TRUE(at::equal(half.head_weight(), exact.head_weight())) << name;
  }
}

class RoundedWeights : public Fuse {
 protected:
  std::unique_ptr<LanguageModel> open(const ToyBundle& toy, const std::string& dtype) const {
    const auto path = folder_.path() / "toy.pt";
    write_toy_bundle(path, toy);
    LoadOptions options;
    options.dtype = dtype;
    auto model = open_model({"", path.string()}, options);
    model->load();
    return model;
  }

  void expect_refused(const ToyBundle& toy, const std::string& dtype, const std::string& says) const {
    try {
      open(toy, dtype);
      ADD_FAILURE() << dtype << " was taken: level " << toy.level << ", " << toy.mix;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUnsupported) << e.what();
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
      EXPECT_NE(e.hint().find("--dtype float32 or bfloat16"), std::string::npos) << e.hint();
    }
  }
};

TEST_F(RoundedWeights, AreRefusedWhereNoLinearMapIsKnown) {
  for (const int level : {1, 2}) {
    ToyBundle toy;
    toy.level = level;
    toy.head = "torch.linear(h, self.weight)";   // one that is fused, and not rounded
    toy.mix = "torch.cumsum(" + kNorm + ", 1)";  // a norm is fused, and nothing would be rounded
    for (const char* dtype : {"bfloat16-body", "int8-body"}) expect_refused(toy, dtype, dtype);
    EXPECT_TRUE(open(toy, "float32")->info().warnings.empty()) << "level " << level;
  }
}

TEST_F(RoundedWeights, LeaveTheHeadAlone) {
  ToyBundle toy;
  toy.level = 1;
  toy.head = "torch.linear(h, self.weight)";
  toy.mix = "torch.linear(" + kNorm + ", self.weight[:16])";
  write_toy_bundle(folder_.path() / "toy.pt", toy);
  const std::string path = (folder_.path() / "toy.pt").string();
  TorchModule exact(path, WeightDtype::kFloat32), rounded(path, WeightDtype::kInt8Body);
  EXPECT_EQ(exact.fuse_kernels(kernels::WeightFormat::kFloat32), 2);
  EXPECT_EQ(rounded.fuse_kernels(kernels::WeightFormat::kInt8), 1);
  const c10::InferenceMode inference;
  const at::Tensor h = at::arange(48, at::kFloat).reshape({3, 16}).sin();
  EXPECT_TRUE(at::equal(exact.head(h), rounded.head(h)));
}

TEST_F(RoundedWeights, AreRefusedWhereTheHeadIsNotApart) {
  ToyBundle toy;
  toy.level = 0;
  toy.mix = "torch.linear(" + kNorm + ", self.weight[:16])";
  for (const char* dtype : {"bfloat16-body", "int8-body"}) expect_refused(toy, dtype, "is of level 0");
  open(toy, "bfloat16");
}

// 0.15 of the norm or so: of 8 bits, where an input that is always 0 has a weight 40 times the others; of bfloat16, where
// nearly all of the result cancels.
TEST_F(RoundedWeights, AreRefusedWhereTheyChangeTooMuch) {
  ToyBundle toy;
  const std::string others = "(self.weight[0] == self.weight[0, 0]).float()";
  toy.mix = "torch.linear(e * (1 - " + others + "), self.weight[:16] + 40 * " + others + ")";
  expect_refused(toy, "int8-body", "rounded they change it by");
  EXPECT_EQ(open(toy, "bfloat16-body")->info().dtype, "bfloat16-body");
  toy.mix =
      "torch.linear(e, 1.002 * (self.weight[:16] == self.weight[:16].diagonal().unsqueeze(1)).float()) - 0.98 * e";
  expect_refused(toy, "bfloat16-body", "rounded they change it by");
  EXPECT_EQ(open(toy, "int8-body")->info().dtype, "int8-body");
}

// Weights of 1 and -1, which rounding leaves as they are, of inputs that nearly cancel: the norm before them, in another
// order, changes more than it may in float32, and less than rounding may.
TEST_F(RoundedWeights, AreRefusedWhereTheExactOnesComputeSomethingElse) {
  ToyBundle toy;
  toy.lines =
      "  a = e[:, :, :8]\n"
      "  u = torch.cat((a, a + 3e-5 * e[:, :, 8:]), -1)\n";
  toy.mix =
      "torch.linear(torch.rms_norm(u, [16], (self.weight[1] < 2).float(), 1e-5), "
      "torch.cat((torch.sign(self.weight[:16, :8]), "
      "-torch.sign(self.weight[:16, :8])), 1))";
  const auto exact = open(toy, "float32");
  ASSERT_EQ(exact->info().warnings.size(), 1U);
  EXPECT_NE(exact->info().warnings[0].find("libtorch's operators are used"), std::string::npos);
  for (const char* dtype : {"bfloat16-body", "int8-body"}) expect_refused(toy, dtype, "and they change it by");
}

// ---- padding ----

TEST_F(Fuse, WhatPadsABatchChangesNoBit) {
  const auto demo = std::filesystem::path(std::getenv("LMBITS_SOURCE_DIR")) / "models/demo";
  for (const char* name : {"s-sp-4000.pt", "xs-byte-3000.pt"}) {
    const auto model = open_model({"", (demo / name).string()}, {});
    model->load();
    // Sequences of 9 and 31 ids with rows within, in a batch of [2,31], padded to [5,64], and beside one that fills [5,64].
    const auto batch_of_shape = [](std::int64_t n_sequences, std::int64_t n_positions, bool filled) {
      Batch batch;
      batch.n_sequences = n_sequences;
      batch.n_positions = n_positions;
      batch.ids.assign(static_cast<std::size_t>(n_sequences * n_positions), 0);
      const auto add = [&](std::int64_t sequence, std::int64_t length, std::int64_t first) {
        const std::int64_t start = sequence * n_positions;
        for (std::int64_t i = 0; i < length; ++i) {
          batch.ids[static_cast<std::size_t>(start + i)] = (sequence * 131 + i * 79 + 3) % 256;
          if (i < first) continue;
          batch.rows.push_back(start + i);
          batch.targets.push_back(static_cast<std::int32_t>((i * 31 + 7) % 256));
        }
      };
      add(0, 9, 2);
      add(1, 31, 17);
      if (filled) add(n_sequences - 1, n_positions, n_positions - 1);
      return batch;
    };
    std::vector<double> tight, padded, filled;
    model->score(batch_of_shape(2, 31, false), tight);
    model->score(batch_of_shape(5, 64, false), padded);
    model->score(batch_of_shape(5, 64, true), filled);
    filled.pop_back();
    EXPECT_EQ(tight.size(), 21u);
    EXPECT_EQ(tight, filled) << name;
    EXPECT_EQ(padded, filled) << name;
  }
}

// ---- a head too large to be held twice ----

TEST_F(Fuse, ALargeHeadGivesARowTheSameBitsInAnyCompany) {
  const c10::InferenceMode inference;
  at::manual_seed(5);
  const std::int64_t n = 300, vocab = 5001;
  const at::Tensor weight = at::randn({vocab + 3, 1000}) * 0.05, h = at::randn({n, 1000});  // 20 MB
  const std::optional<at::Tensor> bias = at::randn({vocab + 3});
  std::vector<std::int32_t> targets;
  for (std::int32_t i = 0; i < n; ++i) targets.push_back(i * 7919 % static_cast<std::int32_t>(vocab));
  HeadOptions options{};
  options.vocab_size = vocab;
  for (const bool plain : {true, false}) {
    const WeightHead head(weight, plain ? std::nullopt : bias, options);
    at::Tensor logits = at::mm(h.to(at::kDouble), weight.slice(0, 0, vocab).to(at::kDouble).t());
    if (!plain) logits += bias->slice(0, 0, vocab);
    const at::Tensor expected = logits.log_softmax(1) / -std::log(2.0);
    std::vector<double> bits;
    head.score(h, targets, bits);
    for (std::int64_t i = 0; i < n; ++i)
      ASSERT_NEAR(bits[i], expected[i][targets[i]].item<double>(), 1e-6 * bits[i] + 2e-6) << plain << " " << i;
    for (const std::int64_t first : {0, 1, 250, 299}) {
      std::vector<double> alone;
      const std::int64_t last = std::min(n, first + 37);
      head.score(h.slice(0, first, last), {targets.begin() + first, targets.begin() + last}, alone);
      for (std::int64_t i = first; i < last; ++i) EXPECT_EQ(alone[i - first], bits[i]) << plain << " " << i;
    }
  }
}

// ---- branches ----

std::vector<double> score(const LanguageModel& model, Batch batch) {
  std::vector<double> bits;
  model.score(batch, bits);
  return bits;
}

Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences, std::int64_t n_positions) {
  Batch batch{.n_sequences = std::ssize(sequences),
              .n_positions = n_positions,
              .ids = {},
              .rows = {},
              .targets = {},
              .branches = {}};
  for (const auto& ids : sequences) {
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
    batch.ids.resize(batch.ids.size() + static_cast<std::size_t>(n_positions) - ids.size(), 0);
  }
  return batch;
}

// Rows [begin, end) of a sequence, whose targets are made up.
void add_rows(Batch& batch, std::int64_t sequence, std::int64_t begin, std::int64_t end, std::int64_t position) {
  for (std::int64_t t = begin; t < end; ++t) {
    batch.rows.push_back(sequence * batch.n_positions + t);
    batch.targets.push_back(static_cast<std::int32_t>((position + t - begin) * 37 % 250));
  }
}

TEST_F(Fuse, ABranchGetsTheBitsOfTheSequenceThatItStandsForToTheLast) {
  const std::filesystem::path demo = std::filesystem::path(std::getenv("LMBITS_SOURCE_DIR")) / "models/demo";
  for (const char* name : {"xs-byte-3000.pt", "l-sp-3300.pt"}) {
    const auto model = open_model({{}, (demo / name).string()}, {});
    model->load();
    ASSERT_TRUE(model->takes_branches()) << name;
    for (const std::int64_t trunk : {1, 2, 63, 64, 65, 130}) {
      const auto made_up = [&](std::int64_t n, std::int64_t seed) {
        std::vector<std::int64_t> ids;
        for (std::int64_t i = 0; i < n; ++i) ids.push_back((i * 7919 + seed * 104729) % 257);
        return ids;
      };
      const auto joined = [](std::vector<std::int64_t> a, const std::vector<std::int64_t>& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
      };
      const auto start = made_up(trunk, 1), straight = joined(start, made_up(40, 2)), other = made_up(200, 9);
      const std::vector<std::vector<std::int64_t>> own = {made_up(1, 3), made_up(17, 4), made_up(30, 5)};
      // The second branch leaves before the first does: 0 is a beginning of its own.
      const std::int64_t trunks[] = {trunk, trunk / 2, trunk};
      std::vector<std::int64_t> packed = straight;
      std::vector<Branch> branches;
      for (std::size_t i = 0; i < own.size(); ++i) {
        branches.push_back({1, std::ssize(packed), std::ssize(packed) + std::ssize(own[i]), trunks[i]});
        packed = joined(packed, own[i]);
      }
      Batch together = batch_of({other, packed}, 288);
      together.branches = branches;
      add_rows(together, 0, 150, 200, 150);
      add_rows(together, 1, trunk, std::ssize(straight), trunk);
      for (const Branch& b : branches) add_rows(together, 1, b.begin, b.end, b.trunk);
      const std::vector<double> bits = score(*model, together);

      std::vector<double> expected;
      const auto expect = [&](const std::vector<std::int64_t>& ids, std::int64_t from) {
        Batch alone = batch_of({ids}, 288);
        add_rows(alone, 0, from, std::ssize(ids), from);
        const auto some = score(*model, alone);
        expected.insert(expected.end(), some.begin(), some.end());
      };
      expect(other, 150);
      expect(straight, trunk);
      for (std::size_t i = 0; i < own.size(); ++i)
        expect(joined({start.begin(), start.begin() + trunks[i]}, own[i]), trunks[i]);
      ASSERT_EQ(bits.size(), expected.size());
      for (std::size_t i = 0; i < bits.size(); ++i)
        EXPECT_EQ(bits[i], expected[i]) << name << ", trunk " << trunk << ", row " << i << " of " << bits.size();
    }
  }
}

TEST_F(Fuse, BranchesAreNotOfferedWhereTheGraphKnowsPositionsOrMixesThemInAnotherWay) {
  ToyBundle toy;
  toy.context = 64;
  const auto path = (folder_.path() / "toy.pt").string();
  const auto takes_branches = [&](const std::string& mix, const std::string& lines = {}) {
    toy.mix = mix;
    toy.lines = lines;
    write_toy_bundle(path, toy);
    const auto model = open_model({{}, path}, {});
    model->load();
    return model->takes_branches();
  };
  const std::string heads = "  q = e.view(e.size(0), e.size(1), 2, 8).transpose(1, 2)\n";
  const std::string attention =
      "torch.scaled_dot_product_attention(q, q, q, is_causal=True).transpose(1, 2).reshape(e.shape) + e";
  EXPECT_TRUE(takes_branches(attention, heads));
  EXPECT_FALSE(takes_branches("torch.cumsum(e, 1) / torch.arange(1, e.size(1) + 1).view(1, -1, 1) + e"));
  EXPECT_FALSE(takes_branches(attention, "  e = e + self.weight[:e.size(1)]\n" + heads));
}

}  // namespace
}  // namespace lmbits
