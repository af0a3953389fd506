// The way through a device, on a fake one: memory that runs out, a device that is lost, copies that come late.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/model/load.h"
#include "tests/support/fake_device.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

using testing::FakeDevice;
using testing::FakeMachine;
using testing::TemporaryFolder;
using testing::ToyBundle;

// Two windows and a dummy sequence: rows [17], some of each window.
Batch some_batch(unsigned seed = 1) {
  Batch batch;
  batch.n_sequences = 4;
  batch.n_positions = 32;
  batch.ids.assign(128, 0);
  for (std::size_t i = 0; i < 96; ++i) batch.ids[i] = static_cast<std::int64_t>((i * 37 + seed * 11) % 256);
  for (const std::int64_t row : {3, 4, 5, 9, 30, 31, 32, 40, 41, 42, 63, 64, 70, 80, 90, 94, 95}) {
    batch.rows.push_back(row);
    batch.targets.push_back(static_cast<std::int32_t>((row * 5 + seed) % 257));
  }
  return batch;
}

const std::vector<std::int64_t> kBegins = {0, 4, 6, 9, 11, 17};

class OnADevice : public ::testing::Test {
 protected:
  std::unique_ptr<LanguageModel> open(const ToyBundle& toy, const std::string& device,
                                      const std::string& dtype = "auto", bool graphs = true) {
    const std::string path = testing::write_toy_bundle(folder_ / ("toy" + std::to_string(n_++) + ".pt"), toy);
    LoadOptions options{.dtype = dtype, .device = device, .graphs = graphs};
    if (device != "cpu") options.open_devices = opener();
    auto model = open_model({{}, path}, options);
    model->load();
    return model;
  }

  DeviceOpener opener() {
    return [this](const std::string& wanted) {
      std::vector<std::unique_ptr<Device>> devices;
      for (int i = 0; i < (wanted == "cuda:all" ? 2 : 1); ++i)
        devices.push_back(std::make_unique<FakeDevice>(machine_, i));
      return devices;
    };
  }

  static void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5 * (1 + expected[i])) << i;
  }

  TemporaryFolder folder_;
  FakeMachine machine_;
  int n_ = 0;
};

TEST_F(OnADevice, EveryLevelGivesTheBitsOfTheCpu) {
  for (const int level : {0, 1, 2}) {
    const Batch batch = some_batch();
    std::vector<double> expected, got;
    std::vector<std::uint8_t> expected_top, got_top;
    open({.level = level}, "cpu")->score(batch, expected, &expected_top);
    const auto model = open({.level = level}, "cuda");
    model->score(batch, got, &got_top);
    expect_near(got, expected);
    EXPECT_EQ(got_top, expected_top) << level;
    EXPECT_EQ(model->info().device, "cuda:0");
  }
}

// The checkpoints of a run, one after the other.
TEST_F(OnADevice, AFamilysCheckpointsGiveTheBitsOfTheCpu) {
  const std::string path = testing::write_toy_bundle(folder_ / "family.pt");
  std::vector<CheckpointFiles> checkpoints;
  for (int step = 1; step <= 3; ++step) {
    const auto file = folder_ / ("step" + std::to_string(step) + ".safetensors");
    testing::write_toy_checkpoint(file, 0.3 * step);
    checkpoints.push_back({"step" + std::to_string(step), {file}, {}});
  }
  const auto bits_on = [&](const std::string& device) {
    LoadOptions options{.device = device};
    if (device != "cpu") options.open_devices = opener();
    const auto family = open_family({{}, path}, options);
    std::vector<std::vector<double>> all;
    for (const CheckpointFiles& checkpoint : checkpoints) {
      const auto model = family->open(checkpoint);
      model->load();
      EXPECT_EQ(model->info().device, device == "cpu" ? "cpu" : device == "cuda" ? "cuda:0" : "cuda:0,cuda:1");
      model->score(some_batch(), all.emplace_back());
    }
    return all;
  };
  const auto expected = bits_on("cpu");
  EXPECT_GT(std::abs(expected[0][0] - expected[1][0]), 1e-3) << "the checkpoints are different models";
  for (const char* device : {"cuda", "cuda:all"}) {
    const auto got = bits_on(device);
    for (std::size_t i = 0; i < expected.size(); ++i) expect_near(got[i], expected[i]);
  }
}

TEST_F(OnADevice, APackageOfMachineCodeIsForTheCpu) {
  const std::string path = testing::write_toy_package(folder_ / "toy.pt2");
  for (const char* device : {"cuda", "auto"}) {
    try {
      open_model({{}, path}, {.device = device, .open_devices = opener()})->load();
      FAIL() << "expected an Error";
    } catch (const Error& e) {
      const bool named = std::string(device) == "cuda";
      EXPECT_EQ(e.kind(), named ? ErrorKind::kUnsupported : ErrorKind::kModel) << e.what();
      const char* says = named ? "is compiled for a CPU, not for --device cuda" : "cannot load its code";
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
    }
  }
}

TEST_F(OnADevice, RoundedWeightsAreForTheCpu) {
  for (const std::string dtype : {"bfloat16-body", "int8-body"}) {
    for (const char* device : {"cuda", "auto"}) {
      try {
        open({}, device, dtype);
        FAIL() << dtype << " was taken on --device " << device;
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::kUnsupported) << e.what();
        const std::string says = "--dtype " + dtype + " runs on the CPU, not on --device cuda";
        EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
      }
    }
  }
}

TEST_F(OnADevice, ScaleAndSoftcapOfTheMetadataApply) {
  const ToyBundle toy{.forward = "torch.tanh(self.head(self.hidden(ids)) * 0.5 / 3.0) * 3.0",
                      .metadata_changes = {{"logit_scale", 0.5}, {"logit_softcap", 3.0}}};
  std::vector<double> expected, got;
  open(toy, "cpu")->score(some_batch(), expected);
  open(toy, "cuda")->score(some_batch(), got);
  expect_near(got, expected);
}

TEST_F(OnADevice, NarrowWeightsGiveTheBitsOfTheSameWeightsOnTheCpu) {
  for (const char* dtype : {"bfloat16", "float16"}) {
    std::vector<double> expected, got;
    open({}, "cpu", dtype)->score(some_batch(), expected);
    open({}, "cuda", dtype)->score(some_batch(), got);
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 0.05) << dtype << " " << i;
  }
}

TEST_F(OnADevice, ALargeVocabularyComesInTiles) {
  const ToyBundle toy{.vocab = 70000, .dim = 4};
  Batch batch = some_batch();
  batch.targets[0] = 69999;
  batch.targets[1] = 32767;
  batch.targets[2] = 32768;
  std::vector<double> expected, got;
  std::vector<std::uint8_t> expected_top, got_top;
  open(toy, "cpu")->score(batch, expected, &expected_top);
  open(toy, "cuda")->score(batch, got, &got_top);
  expect_near(got, expected);
  EXPECT_EQ(got_top, expected_top);
}

TEST_F(OnADevice, SumsOfSegmentsComeHome) {
  const auto model = open({}, "cuda");
  ASSERT_TRUE(model->adds_up());
  std::vector<double> bits;
  model->score(some_batch(), bits);
  std::vector<kernels::NllSum> sums;
  model->sum(some_batch(), kBegins, sums);
  ASSERT_EQ(sums.size(), kBegins.size() - 1);
  for (std::size_t s = 0; s < sums.size(); ++s) {
    double expected = 0.0;
    for (auto i = kBegins[s]; i < kBegins[s + 1]; ++i) expected += bits[static_cast<std::size_t>(i)];
    EXPECT_NEAR(sums[s].bits, expected, 1e-9 * expected) << s;
    EXPECT_EQ(sums[s].n_rows, kBegins[s + 1] - kBegins[s]);
    EXPECT_EQ(sums[s].first_bad, -1);
  }
}

TEST_F(OnADevice, ARowsBitsDoNotDependOnWhatElseIsScored) {
  const auto model = open({}, "cuda");
  std::vector<double> all, one;
  model->score(some_batch(), all);
  Batch single = some_batch();
  single.rows = {42};
  single.targets = {some_batch().targets[9]};
  model->score(single, one);
  EXPECT_EQ(one.at(0), all.at(9));
}

TEST_F(OnADevice, AShapeThatComesAgainIsReplayed) {
  const auto eager = open({}, "cuda", "auto", false), model = open({}, "cuda");
  for (unsigned seed = 1; seed <= 5; ++seed) {
    std::vector<double> expected, got;
    eager->score(some_batch(seed), expected);
    model->score(some_batch(seed), got);
    EXPECT_EQ(got, expected) << seed;
  }
  EXPECT_EQ(machine_.n_captured, 1);
  EXPECT_EQ(machine_.n_replayed, 4) << "one proves the graph, three serve";
  EXPECT_EQ(model->devices().at(0).at("graphs"), (Json{{"captured", 1}, {"why_none", nullptr}}));
}

TEST_F(OnADevice, AGraphThatIsWrongOrCannotBeIsNotUsed) {
  for (bool FakeMachine::*fails : {&FakeMachine::captures, &FakeMachine::replays}) {
    const auto eager = open({}, "cuda", "auto", false);
    machine_.*fails = false;
    const auto model = open({}, "cuda");
    for (unsigned seed = 1; seed <= 4; ++seed) {
      std::vector<double> expected, got;
      eager->score(some_batch(seed), expected);
      model->score(some_batch(seed), got);
      EXPECT_EQ(got, expected) << seed;
    }
    const Json graphs = model->devices().at(0).at("graphs");
    EXPECT_EQ(graphs["captured"], 0);
    EXPECT_NE(
        graphs["why_none"].get<std::string>().find(fails == &FakeMachine::captures ? "cannot be" : "other numbers"),
        std::string::npos)
        << graphs;
    machine_.*fails = true;
  }
}

TEST_F(OnADevice, GraphsAreGivenUpBeforeAnythingIsHalved) {
  const auto model = open({}, "cuda");
  std::vector<double> expected, got;
  for (int i = 0; i < 3; ++i) model->score(some_batch(), expected);
  EXPECT_EQ(machine_.n_captured, 1);
  machine_.most_positions = 4 * 32 + 17;  // a little less than the batch's words
  model->score(some_batch(), got);
  expect_near(got, expected);
  EXPECT_EQ(model->devices().at(0).at("graphs").at("why_none"), "memory ran out");
}

TEST_F(OnADevice, OutOfMemoryHalvesTheHeadAndLosesNothing) {
  std::vector<double> expected, got;
  open({}, "cuda")->score(some_batch(), expected);
  machine_.most_logits = 64 * 257;  // the 128 rows of the batch do not fit
  const auto model = open({}, "cuda");
  model->score(some_batch(), got);
  expect_near(got, expected);
  EXPECT_GE(machine_.n_released, 1);
  const Json back_offs = model->devices().at(0).at("back_offs");
  ASSERT_EQ(back_offs.size(), 1U) << back_offs.dump();
  EXPECT_EQ(back_offs[0]["what"], "head rows");
  EXPECT_EQ(back_offs[0]["to"], 64);
  const int failed = machine_.n_out_of_memory;
  model->score(some_batch(2), got);
  EXPECT_EQ(machine_.n_out_of_memory, failed) << "it goes on with what fits";
}

TEST_F(OnADevice, ThenItHalvesTheSequences) {
  std::vector<double> expected, got;
  std::vector<kernels::NllSum> expected_sums, got_sums;
  const auto free = open({}, "cuda");
  free->score(some_batch(), expected);
  free->sum(some_batch(), kBegins, expected_sums);
  machine_.most_positions = 64 + 17 + 6;  // two sequences, their rows and segments
  const auto model = open({}, "cuda");
  model->score(some_batch(), got);
  expect_near(got, expected);
  model->sum(some_batch(), kBegins, got_sums);
  for (std::size_t s = 0; s < got_sums.size(); ++s) {
    EXPECT_NEAR(got_sums[s].bits, expected_sums[s].bits, 1e-5 * expected_sums[s].bits) << s;
    EXPECT_EQ(got_sums[s].n_rows, expected_sums[s].n_rows);
  }
  const Json back_offs = model->devices().at(0).at("back_offs");
  ASSERT_EQ(back_offs.size(), 2U) << back_offs.dump();
  EXPECT_EQ(back_offs[1]["what"], "sequences");
  EXPECT_EQ(back_offs[1]["to"], 2);
}

TEST_F(OnADevice, WhatDoesNotFitAtAllIsOneClearError) {
  machine_.most_positions = 20;
  const auto model = open({}, "cuda");
  std::vector<double> bits;
  try {
    model->score(some_batch(), bits);
    FAIL() << "expected an Error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kOutOfMemory);
    EXPECT_NE(std::string(e.what()).find("one sequence of 32 ids"), std::string::npos) << e.what();
    EXPECT_FALSE(e.hint().empty());
  }
}

TEST_F(OnADevice, ALostDeviceIsADeviceError) {
  const auto model = open({}, "cuda");
  machine_.lost_after = 0;
  std::vector<double> bits;
  for (int i = 0; i < 2; ++i) {
    try {
      model->score(some_batch(), bits);
      FAIL() << "expected an Error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kDevice);
      EXPECT_NE(std::string(e.what()).find("cuda:0 is lost: fell off the bus"), std::string::npos) << e.what();
    }
  }
  EXPECT_TRUE(model->devices().at(0).contains("lost"));
}

TEST_F(OnADevice, AnotherDeviceTakesOverFromALostOne) {
  const auto model = open({}, "cuda:all");
  EXPECT_EQ(model->info().device, "cuda:0,cuda:1");
  std::vector<double> expected, got;
  model->score(some_batch(), expected);
  machine_.lost_after = 0;
  model->score(some_batch(), got);
  EXPECT_EQ(got, expected);
  EXPECT_TRUE(model->devices().at(0).contains("lost"));
  EXPECT_FALSE(model->devices().at(1).contains("lost"));
}

TEST_F(OnADevice, ResultsAreReadAfterTheStreamIsDone) {
  machine_.waits = false;  // shows that the fake would notice: nobody has copied anything home yet
  std::vector<double> bits;
  const auto model = open({}, "cuda");
  EXPECT_ANY_THROW({
    model->score(some_batch(), bits);
    if (bits.at(0) == -1.0) throw std::runtime_error("read too early");
  });
}

TEST_F(OnADevice, ManyThreadsShareTheStreamsOfTwoDevices) {
  const auto model = open({}, "cuda:all");
  std::vector<std::vector<double>> expected(8), got(8);
  for (unsigned k = 0; k < 8; ++k) model->score(some_batch(k), expected[k]);
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 8; ++k) threads.emplace_back([&, k] { model->score(some_batch(k), got[k]); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, expected);
}

TEST_F(OnADevice, ATargetOutsideTheVocabularyIsNamed) {
  const auto model = open({}, "cuda");
  Batch batch = some_batch();
  batch.targets[3] = 257;
  std::vector<double> bits;
  try {
    model->score(batch, bits);
    FAIL() << "expected an Error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kModel);
    EXPECT_NE(std::string(e.what()).find("target 257 lies outside the model's vocabulary of 257"), std::string::npos);
  }
}

TEST_F(OnADevice, AHeadThatReturnsOtherRowsOrNumbersIsNamed) {
  const std::string product = "torch.matmul(h, self.weight.t())";
  const std::pair<std::string, std::string> heads[] = {
      // 128 rows: a chunk of the batch, which the probe does not try
      {product + "[:-1] if h.dim() == 2 and h.size(0) == 128 else " + product,
       "head() returned [127, 257] for 128 rows"},
      {product + "[:, :200] if h.dim() == 2 and h.size(0) == 128 else " + product,
       "the head returned [128, 200] for 17 rows and a vocabulary of 257"},
      {product + ".double()", "logits of type Double"}};
  for (const auto& [head, message] : heads) {
    const auto model = open({.level = 1, .head = head}, "cuda");
    std::vector<double> bits;
    try {
      model->score(some_batch(), bits);
      ADD_FAILURE() << "expected an Error: " << message;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kModel);
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    }
  }
}

TEST_F(OnADevice, AHeadMayReturnItsLogitsInAnyLayout) {
  std::vector<double> expected, got;
  open({.level = 1}, "cpu")->score(some_batch(), expected);
  const std::string transposed = "torch.matmul(self.weight, h.transpose(-1, -2)).transpose(-1, -2)";
  open({.level = 1, .head = transposed}, "cuda")->score(some_batch(), got);
  expect_near(got, expected);
}

TEST_F(OnADevice, NoRowsNoWork) {
  const auto model = open({}, "cuda");
  Batch batch = some_batch();
  batch.rows.clear();
  batch.targets.clear();
  std::vector<double> bits{1.0};
  model->score(batch, bits);
  EXPECT_TRUE(bits.empty());
}

TEST(Devices, WithoutADriverCudaIsAnErrorAndAutoTheCpu) {
  if (!why_no_cuda_device()) GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_EQ(resolve_device({.device = "auto"}), "cpu");
  for (const char* name : {"cuda", "cuda:1", "cuda:all"}) {
    try {
      resolve_device({.device = name});
      FAIL() << "expected an Error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kDevice);
      EXPECT_NE(std::string(e.what()).find("there is no CUDA device"), std::string::npos);
      EXPECT_FALSE(e.hint().empty());
    }
  }
  EXPECT_THROW(resolve_device({.device = "tpu"}), Error);
}

}  // namespace
}  // namespace lmbits
