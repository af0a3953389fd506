// What is wrong with a model must be said in one line, before any number is printed.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/model/archive.h"
#include "src/model/load.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

using testing::TemporaryFolder;
using testing::ToyBundle;
using testing::write_toy_bundle;
using testing::write_toy_package;

// Opens and loads; the message of the refusal, which must be one line.
std::string refusal(const std::string& path) {
  try {
    open_model({"", path}, {})->load();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kModel) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << "does not name the file: " << e.what();
    return e.what();
  }
  return "(accepted)";
}

class BrokenBundle : public ::testing::Test {
 protected:
  std::string refusal_of(const ToyBundle& toy) { return refusal(write_toy_bundle(folder_ / "toy.pt", toy)); }

  std::string sound_bytes() {
    write_toy_bundle(folder_ / "sound.pt");
    return read_file(folder_ / "sound.pt");
  }

  std::string refusal_of_bytes(const std::string& bytes) {
    const std::string path = folder_ / "broken.pt";
    std::ofstream(path, std::ios::binary) << bytes;
    return refusal(path);
  }

  TemporaryFolder folder_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(BrokenBundle, SoundOnesOfEveryLevelLoad) {
  for (int level = 0; level <= 2; ++level) {
    EXPECT_EQ(refusal_of({.level = level}), "(accepted)") << "level " << level;
  }
}

TEST_F(BrokenBundle, MissingFileIsNamed) { EXPECT_SAYS(refusal(folder_ / "none.pt"), "cannot open"); }
TEST_F(BrokenBundle, FolderIsNoModel) { EXPECT_SAYS(refusal(folder_.path().string()), "not a file"); }
TEST_F(BrokenBundle, EmptyFileIsDamaged) { EXPECT_SAYS(refusal_of_bytes(""), "damaged"); }
TEST_F(BrokenBundle, RandomBytesAreDamaged) { EXPECT_SAYS(refusal_of_bytes(std::string(5000, '\x5a')), "damaged"); }

TEST_F(BrokenBundle, TruncatedAnywhereIsRefused) {
  const std::string bytes = sound_bytes();
  for (const double share : {0.01, 0.3, 0.7, 0.95, 0.999}) {
    EXPECT_NE(refusal_of_bytes(bytes.substr(0, static_cast<std::size_t>(share * static_cast<double>(bytes.size())))),
              "(accepted)")
        << share;
  }
}

// TorchScript itself loads most of these without a word.
TEST_F(BrokenBundle, EveryFlippedWeightIsNoticed) {
  const std::string bytes = sound_bytes();
  const std::size_t step = bytes.size() / 60;
  int n_refused = 0;
  for (std::size_t at = step / 2; at < bytes.size(); at += step) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    const std::string text = refusal_of_bytes(flipped);
    n_refused += text != "(accepted)";
    // What may go unnoticed is padding between records, or the zip's own redundant fields: nothing that is read.
    if (text == "(accepted)") {
      EXPECT_EQ(read_archive(folder_ / "broken.pt").content_hash, read_archive(folder_ / "sound.pt").content_hash);
    }
  }
  EXPECT_GT(n_refused, 30);
}

TEST_F(BrokenBundle, NoMetadataAsksForASidecar) { EXPECT_SAYS(refusal_of({.with_metadata = false}), "lmbits.json"); }

TEST_F(BrokenBundle, BareArchiveWithASidecarLoads) {
  const std::string path = write_toy_bundle(folder_ / "bare.pt", {.with_metadata = false});
  std::ofstream(folder_ / "bare.json") << testing::toy_metadata({}).dump();
  EXPECT_EQ(refusal(path), "(accepted)");
}

TEST_F(BrokenBundle, VocabularyMismatchNamesBothNumbers) {
  const std::string text = refusal_of({.metadata_changes = {{"vocab_size", 300}, {"padded_vocab_size", 300}}});
  EXPECT_SAYS(text, "300");
  EXPECT_SAYS(text, "257");
}

// Ids that the model has a column for and does not predict: each document in which one occurs would fail.
TEST_F(BrokenBundle, TokenizerOfMoreIdsThanTheModelPredictsNamesBothNumbers) {
  std::ofstream(folder_ / "tokenizer.json") << testing::toy_tokenizer_json();
  const auto refusal_where = [&](int vocab_size, const Json& eos_id) {
    return refusal_of({.metadata_changes = {{"tokenizer", {{"kind", "tokenizer.json"}, {"file", "tokenizer.json"}}},
                                            {"vocab_size", vocab_size},
                                            {"padded_vocab_size", 257},
                                            {"bos_id", 0},
                                            {"eos_id", eos_id}}});
  };
  EXPECT_EQ(refusal_where(257, nullptr), "(accepted)");
  EXPECT_SAYS(refusal_where(256, nullptr), "the tokenizer has 257 ids, the model predicts ids below 256");
  EXPECT_EQ(refusal_where(256, 256), "(accepted)") << "no text becomes an EOS";
  EXPECT_SAYS(refusal_where(255, 256), "the tokenizer has 257 ids, the model predicts ids below 255");
}

TEST_F(BrokenBundle, WrongOutputShapeIsRefused) {
  EXPECT_SAYS(refusal_of({.forward = "self.head(self.hidden(ids))[:, 0]"}), "forward() returned");
}

TEST_F(BrokenBundle, BidirectionalModelIsRefused) {
  EXPECT_SAYS(refusal_of({.mix = "e + e.mean(1, True)"}), "bidirectional");
}

TEST_F(BrokenBundle, RowsShiftedLeftAreRefused) {
  EXPECT_SAYS(refusal_of({.mix = "torch.roll(torch.cumsum(e, 1) + e, -1, 1)"}), "shifted left");
}

TEST_F(BrokenBundle, RowsShiftedRightAreRefused) {
  EXPECT_SAYS(refusal_of({.mix = "torch.cat((torch.zeros_like(e[:, :1]), (torch.cumsum(e, 1) + e)[:, :-1]), 1)"}),
              "shifted right");
}

TEST_F(BrokenBundle, PositionsCountedFromTheEndAreRefused) {
  EXPECT_SAYS(refusal_of({.mix = "torch.cumsum(e, 1) / float(e.size(1)) * 4.0"}), "right padding");
}

TEST_F(BrokenBundle, StateKeptBetweenCallsIsRefused) {
  EXPECT_SAYS(refusal_of({.mix = "e + torch.cumsum(e, 1) + self.calls.add_(1.0)"}), "state");
}

TEST_F(BrokenBundle, NaNLogitsAreRefused) { EXPECT_SAYS(refusal_of({.mix = "e / 0.0 * 0.0"}), "NaN"); }

TEST_F(BrokenBundle, ForwardThatIsNotHeadOfHiddenIsRefused) {
  EXPECT_SAYS(refusal_of({.forward = "torch.tanh(self.head(self.hidden(ids)))"}), "differs from forward");
}

TEST_F(BrokenBundle, SoftcapInTheMetadataCompletesHeadWeight) {
  EXPECT_EQ(refusal_of({.forward = "3.0 * torch.tanh(self.head(self.hidden(ids)) * 0.5 / 3.0)",
                        .metadata_changes = {{"logit_softcap", 3.0}, {"logit_scale", 0.5}}}),
            "(accepted)");
}

TEST_F(BrokenBundle, DeviceConstantsOfATraceAreRewritten) {
  EXPECT_EQ(
      refusal_of({.mix = "torch.cumsum(e, 1) / torch.arange(1, e.size(1) + 1, device=\"cuda:0\").view(1, -1, 1) + e"}),
      "(accepted)");
}

TEST_F(BrokenBundle, DeviceConstantsOfAFunctionThatIsCalledAreRewritten) {
  EXPECT_EQ(refusal_of({.mix = "helper(e)",
                        .function = "def helper(e: Tensor) -> Tensor:\n"
                                    "  n = torch.arange(1, e.size(1) + 1, device=torch.device(\"cuda:0\"))\n"
                                    "  return torch.cumsum(e, 1) / n.view(1, -1, 1) + e\n"}),
            "(accepted)");
}

TEST_F(BrokenBundle, AbsurdMetadataIsNamed) {
  EXPECT_SAYS(refusal_of({.metadata_changes = {{"context_length", 0}}}), "context_length");
  EXPECT_SAYS(refusal_of({.metadata_changes = {{"bos_id", 900}}}), "bos_id");
  EXPECT_SAYS(refusal_of({.metadata_changes = {{"format", "other"}}}), "format");
}

// ---- packages of machine code: whatever is wrong with one is found before its code is loaded ----

class BrokenPackage : public ::testing::Test {
 protected:
  std::string refusal_of(const testing::ToyPackage& toy, ErrorKind kind = ErrorKind::kModel) {
    return refusal_at(write_toy_package(path_, toy), kind);
  }

  static std::string refusal_at(const std::string& path, ErrorKind kind = ErrorKind::kModel,
                                const LoadOptions& options = {}) {
    try {
      open_model({"", path}, options)->load();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      EXPECT_FALSE(e.hint().empty() && kind != ErrorKind::kModel) << e.what();
      return e.what();
    }
    return "(accepted)";
  }

  void replace_bytes(const std::filesystem::path& file, const std::string& from, const std::string& to) {
    std::string bytes = read_file(file);
    const auto at = bytes.find(from);
    ASSERT_NE(at, std::string::npos);
    std::ofstream(file, std::ios::binary) << bytes.replace(at, from.size(), to);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "toy.pt2", weights_ = folder_ / "toy.safetensors";
};

TEST_F(BrokenPackage, OneThatIsSoundButForItsCodeGetsAsFarAsThat) {
  EXPECT_SAYS(refusal_of({}), "cannot load its code: ");
}

TEST_F(BrokenPackage, ChangedCodeIsCorrupted) {
  write_toy_package(path_);
  replace_bytes(path_, "no code", "mo code");
  EXPECT_SAYS(refusal_at(path_), "is corrupted: lmbits.json states the content hash ");
}

TEST_F(BrokenPackage, WithoutAHashNoCodeIsRun) { EXPECT_SAYS(refusal_of({.with_hash = false}), "no content hash"); }

TEST_F(BrokenPackage, ACutFileAndRandomBytesAreDamaged) {
  write_toy_package(path_);
  const std::string whole = read_file(path_);
  for (const std::string& bytes :
       {whole.substr(0, whole.size() / 2), whole.substr(0, 100), std::string(), std::string(5000, '\x5a')}) {
    std::ofstream(path_, std::ios::binary) << bytes;
    EXPECT_SAYS(refusal_at(path_), "is damaged");
  }
}

TEST_F(BrokenPackage, AnotherLibtorchIsNamed) {
  EXPECT_SAYS(refusal_of({.changes = {{"torch", "1.13.1"}}}, ErrorKind::kUnsupported),
              "was compiled for libtorch 1.13.1, this program has ");
}

TEST_F(BrokenPackage, AnotherMachineOrAMissingCpuFeatureIsNamed) {
  EXPECT_SAYS(refusal_of({.changes = {{"machine", "riscv64"}}}, ErrorKind::kUnsupported), "compiled for riscv64");
  for (const char* feature : {"sse4a-of-another-maker", ""}) {
    EXPECT_SAYS(refusal_of({.changes = {{"cpu", {feature}}}}, ErrorKind::kUnsupported),
                std::string("a processor with ") + feature);
  }
}

TEST_F(BrokenPackage, WhatX86_64V3AddsIsAskedOfTheProcessor) {
  std::istringstream lines(read_file("/proc/cpuinfo"));
  std::string flags;
  while (std::getline(lines, flags) && !flags.starts_with("flags")) {
  }
  if (!lines) GTEST_SKIP() << "/proc/cpuinfo has no flags";
  const std::pair<const char*, const char*> names[] = {{"avx2", "avx2"},  {"bmi", "bmi1"}, {"bmi2", "bmi2"},
                                                       {"f16c", "f16c"},  {"fma", "fma"},  {"lzcnt", "abm"},
                                                       {"movbe", "movbe"}};
  for (const auto& [feature, flag] : names) {
    const bool has = (flags + " ").find(std::string(" ") + flag + " ") != std::string::npos;
    EXPECT_SAYS(refusal_of({.changes = {{"cpu", {feature}}}}, has ? ErrorKind::kModel : ErrorKind::kUnsupported),
                has ? "cannot load its code: " : std::string("a processor with ") + feature);
  }
}

TEST_F(BrokenPackage, FactsThatAreMissingOrAbsurdAreRefused) {
  const std::pair<Json, const char*> cases[] = {
      {{{"format", "lmbits-package-9"}}, "lmbits-package-9"},
      {{{"hidden", nullptr}}, "hidden"},
      {{{"hidden", {{"code", "../../a.so"}}}}, "`code` is ../../a.so"},
      {{{"head", {{"constants", {{"w", {{"dtype", "complex64"}}}}}}}}, "no dtype complex64"},
      {{{"head", {{"constants", {{"w", {{"shape", {-1, 4}}}}}}}}}, "[-1, 4]"},
      {{{"head", {{"constants", {{"w", {{"dtype", "int64"}}}}}}}}, "w is a weight and not float32"},
      {{{"hidden", {{"constants", {{"w", {{"shape", {1000, 64}}}}}}}}},
       "w is [1000, 64] in `hidden` and [257, 4] in `head`"},
      {{{"head_weight", "v"}}, "`head_weight` is no matrix among its weights: v"}};
  for (const auto& [changes, what] : cases) {
    const std::string text = refusal_of({.changes = changes});
    EXPECT_SAYS(text, "package.json is not what docs/formats.md describes");
    EXPECT_SAYS(text, what);
  }
  EXPECT_SAYS(refusal_of({.changes = {{"head", {{"code", "data/aotinductor/head/c.so"}}}}}),
              "holds no data/aotinductor");
  EXPECT_SAYS(refusal_of({.changes = {{"most", {{"positions", 63}}}}}), "compiled for 63 positions");
}

TEST_F(BrokenPackage, ItsWeightsAreThereWholeAndFit) {
  write_toy_package(path_);
  std::filesystem::remove(weights_);
  EXPECT_SAYS(refusal_at(path_), "its weights " + weights_.string() + " are not there");
  write_toy_package(path_);
  replace_bytes(weights_, "\x3e\x3e\x3e", "\x3e\x3f\x3e");
  EXPECT_SAYS(refusal_at(path_), "is corrupted, or of another model");
  EXPECT_SAYS(refusal_of({.rows = 256}), "tensor w is [256, 4], w of " + path_.string() + " is [257, 4]");
  const Json constant = {{"dtype", "float32"}, {"shape", {3}}, {"stored", false}};
  EXPECT_SAYS(refusal_of({.changes = {{"hidden", {{"constants", {{"gain", constant}}}}}}}), "tensor gain is missing");
  EXPECT_SAYS(refusal_of({.metadata_changes = {{"weights", nullptr}}}), "names no file of weights");
}

TEST_F(BrokenPackage, StoredConstantsHaveTheirBytes) {
  const auto refusal_of_shape = [&](const Json& shape) {
    const Json constant = {{"dtype", "float32"}, {"shape", shape}, {"stored", true}};
    return refusal_of({.changes = {{"hidden", {{"constants", {{"table", constant}}}}}}});
  };
  EXPECT_SAYS(refusal_of_shape({3}), "constant table has 0 bytes, its shape [3] takes 12");
  EXPECT_SAYS(refusal_of_shape({1 << 30, 1 << 30}), "takes 4611686018427387904");  // none of it is asked for
  EXPECT_SAYS(refusal_of_shape({2147483647, 2147483647, 4}), "takes more than there is a number for");
  EXPECT_SAYS(refusal_of_shape({1 << 30, 1 << 30, 1 << 4}), "takes more than there is a number for");  // 2^66, not 0
}

TEST_F(BrokenPackage, TokenizerOfMoreIdsThanTheModelPredictsNamesBothNumbers) {
  std::ofstream(folder_ / "tokenizer.json") << testing::toy_tokenizer_json();
  const Json changes = {{"tokenizer", {{"kind", "tokenizer.json"}, {"file", "tokenizer.json"}}},
                        {"vocab_size", 255},
                        {"padded_vocab_size", 257}};
  EXPECT_SAYS(refusal_of({.metadata_changes = changes}), "the tokenizer has 257 ids, the model predicts ids below 255");
}

TEST_F(BrokenPackage, AnotherDtypeIsRefused) {
  EXPECT_SAYS(refusal_at(write_toy_package(path_), ErrorKind::kConfig, {.dtype = "bfloat16"}), "compiled for float32");
}

}  // namespace
}  // namespace lmbits
