#include "src/scoring/block_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/cdf.h"
#include "src/coding/range_coder.h"
#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/scoring/block_text.h"
#include "src/scoring/sequence.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

std::string source(const std::string& path) { return std::string(std::getenv("LMBITS_SOURCE_DIR")) + "/" + path; }
std::string demo(const std::string& name) { return source("models/demo/" + name + ".pt"); }
std::string prose() { return read_file(source("models/heldout/prose.txt")); }

std::unique_ptr<LanguageModel> loaded(const std::string& spec, bool fuse = true) {
  auto model = open_model(parse_model_spec(spec), {.fuse = fuse});
  model->load();
  return model;
}

BlockCoderOptions options_for(const LanguageModel& model, std::int64_t window, std::int64_t stride, bool mix = false,
                              std::optional<Decoding> decoding = std::nullopt) {
  ConventionOptions options;
  options.window = window;
  options.stride = stride;
  return {convention_for(model, options), mix, 300, decoding};
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

std::string random_bytes(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(n, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Whatever a file may hold: nothing but one byte, no text, half characters, what SentencePiece turns into a space.
std::vector<std::string> awkward() {
  return {"a",
          std::string(1, '\0'),
          "\xff",
          random_bytes(100, 1),
          "caf\xc3\xa9 \xe2\x82",
          "a\xe2\x96\x81"
          "b  \xe2\x96\x81\xe2\x96\x81",
          std::string(300, ' '),
          std::string("\r\n\t\0\x7f", 5),
          prose().substr(1000, 400),
          "\xf0\x9f\x98\x80\xed\xa0\x80\xc0\x80"};
}

void expect_comes_back(const LanguageModel& model, const BlockCoderOptions& options,
                       const std::vector<std::string>& texts, CodingCost* cost = nullptr) {
  CodingCost sums;
  std::vector<std::string> payloads = BlockCoder(model, options).encode(views(texts), sums);
  std::vector<std::int64_t> sizes;
  for (const std::string& text : texts) sizes.push_back(std::ssize(text));
  EXPECT_EQ(BlockCoder(model, options).decode(views(payloads), sizes, "x"), texts) << model.info().name;
  // Streams end within 8 bits and what rounding costs.
  EXPECT_LE(sums.stream_bits, sums.coded_bits + sums.escaped_bits + 8.001 * static_cast<double>(texts.size()));
  EXPECT_GE(sums.stream_bits, sums.coded_bits + sums.escaped_bits - 8.001 * static_cast<double>(texts.size()));
  if (cost != nullptr) *cost = sums;
}

TEST(BlockCoder, AnyBytesComeBackWithModelsWithoutWeights) {
  for (const std::string& spec :
       {std::string("uniform:256"), std::string("uniform:262144"), "bigram:" + source("models/heldout/code.txt")}) {
    const auto model = loaded(spec);
    for (const bool mix : {false, true}) {
      expect_comes_back(*model, options_for(*model, 16, 8, mix), awkward());
      expect_comes_back(*model, options_for(*model, 500, 1, mix), {random_bytes(700, 3)});
    }
  }
}

TEST(BlockCoder, AnyBytesComeBackWithDemoModels) {
  for (const char* name : {"xs-byte-100", "m-sp-250"}) {
    const auto model = loaded(demo(name));
    BlockCoder coder(*model, options_for(*model, 16, 8));
    EXPECT_EQ(coder.decoding(), Decoding::kCached) << name;
    expect_comes_back(*model, options_for(*model, 16, 8), awkward());
    expect_comes_back(*model, options_for(*model, 33, 7, true), awkward());
    expect_comes_back(*model, options_for(*model, 512, 256), {prose().substr(0, 6000), prose().substr(9000, 3000)});
  }
}

// Libtorch's own operators: no steps, every token runs its window again.
TEST(BlockCoder, WithoutStepsWindowsAreRunAgain) {
  const auto model = loaded(demo("xs-byte-100"), /*fuse=*/false);
  BlockCoder coder(*model, options_for(*model, 24, 12, false, Decoding::kWindow));
  EXPECT_EQ(coder.n_streams(), 1);
  expect_comes_back(*model, options_for(*model, 24, 12, false, Decoding::kWindow),
                    {prose().substr(0, 150), "\xff", "b"});
  expect_comes_back(*model, options_for(*model, 100, 50, true, Decoding::kWindow), {prose().substr(0, 230)});
}

// Level 3: blocks of different lengths in lock-step, windows that begin anew, the bits of all ways of decoding.
TEST(BlockCoder, ABundlesOwnStepDecodesInLockStep) {
  const auto model = loaded(demo("xs-byte-100")), plain = loaded(demo("m-sp-250"), /*fuse=*/false);
  EXPECT_EQ(BlockCoder(*plain, options_for(*plain, 16, 8)).decoding(), Decoding::kStep);
  expect_comes_back(*plain, options_for(*plain, 33, 7, true),
                    {prose().substr(0, 400), "", "\xff", prose().substr(900, 80)});
  expect_comes_back(*model, options_for(*model, 16, 8, false, Decoding::kStep), awkward());
  CodingCost stepped, cached;
  const std::vector<std::string> texts = {prose().substr(0, 500), prose().substr(5000, 300)};
  expect_comes_back(*model, options_for(*model, 128, 64, false, Decoding::kStep), texts, &stepped);
  expect_comes_back(*model, options_for(*model, 128, 64), texts, &cached);
  EXPECT_NEAR(stepped.model_bits, cached.model_bits, 1e-5 * cached.model_bits);
  EXPECT_EQ(stepped.n_ids, cached.n_ids);
}

class Toy : public ::testing::Test {
 protected:
  std::unique_ptr<LanguageModel> toy(testing::ToyBundle bundle) {
    const auto path = folder_ / ("toy-" + std::to_string(n_++) + ".pt");
    testing::write_toy_bundle(path, bundle);
    return loaded(path.string());
  }
  testing::TemporaryFolder folder_;
  int n_ = 0;
};

// A model that mixes positions otherwise than by attention cannot step, whatever its level; its files come back.
TEST_F(Toy, EveryLevelComesBack) {
  for (const int level : {0, 1, 2}) {
    const auto model = toy({.level = level});
    EXPECT_EQ(BlockCoder(*model, options_for(*model, 20, 10)).decoding(), Decoding::kWindow);
    EXPECT_THROW(BlockCoder(*model, options_for(*model, 20, 10, false, Decoding::kStep)), Error);
    EXPECT_THROW(BlockCoder(*model, options_for(*model, 20, 10, false, Decoding::kCached)), Error);
    expect_comes_back(*model, options_for(*model, 20, 10), {prose().substr(0, 130), "", "\xff\xfe"});
  }
}

// A softmax over positions built of exponentials would round otherwise in other shapes: it must not pass for exact.
TEST_F(Toy, OnlyExactRowsMayStep) {
  const auto row_wise = toy({.mix = "torch.linear(e, self.weight[:16]) + e"});
  EXPECT_EQ(BlockCoder(*row_wise, options_for(*row_wise, 20, 10)).decoding(), Decoding::kCached);
  expect_comes_back(*row_wise, options_for(*row_wise, 20, 10), {prose().substr(0, 300), "z"});
  const auto exponentials = toy({.mix = "torch.linear(e, self.weight[:16]) + torch.sigmoid(e)"});
  EXPECT_EQ(BlockCoder(*exponentials, options_for(*exponentials, 20, 10)).decoding(), Decoding::kWindow);
}

// A running mean, kept as a sum and a count.
constexpr const char* kMeanStep =
    "  e = torch.embedding(self.embedding, ids)\n"
    "  total = e\n"
    "  n = torch.ones([1])\n"
    "  if len(state) > 0:\n"
    "    total = state[0] + e\n"
    "    n = state[1] + 1\n";

TEST_F(Toy, AStepOfAnyKindOfStateWillDo) {
  const auto mean = toy({.step = std::string(kMeanStep) + "  return total / n + e, [total, n]\n"});
  EXPECT_EQ(mean->info().metadata.at("level"), 3);
  EXPECT_EQ(BlockCoder(*mean, options_for(*mean, 20, 10)).decoding(), Decoding::kStep);
  expect_comes_back(*mean, options_for(*mean, 20, 10), {prose().substr(0, 400), "", "z", prose().substr(0, 40)});
  expect_comes_back(*mean, options_for(*mean, 20, 3, true), {prose().substr(0, 250), "\xff\xfe"});
}

TEST_F(Toy, AStepThatIsNotHiddenIsRefused) {
  const auto refusal = [&](const std::string& last) -> std::string {
    try {
      const auto model = toy({.step = kMeanStep + last});
      BlockCoder(*model, options_for(*model, 20, 10));
    } catch (const Error& e) {
      return e.what();
    }
    return "none";
  };
  EXPECT_NE(refusal("  return total / n, [total, n]\n").find("step(ids, state) differs from hidden(ids) by"),
            std::string::npos);
  EXPECT_NE(refusal("  return total / n + e, [total]\n").find("step(ids, state) failed"), std::string::npos);
  EXPECT_NE(
      refusal("  return (total / n + e)[0], [total, n]\n").find("step(ids, state) returned [1, 16] for ids [2, 1]"),
      std::string::npos);
}

// What a decoder on other arithmetic notices before it decodes anything.
TEST(BlockCoder, ArithmeticTellsModelsAndWaysApart) {
  const auto model = loaded(demo("xs-byte-100")), other = loaded(demo("xs-byte-1000"));
  std::vector<std::string> all;
  for (const bool mix : {false, true}) {
    for (const Decoding decoding : {Decoding::kCached, Decoding::kStep, Decoding::kWindow}) {
      const BlockCoderOptions options = options_for(*model, 64, 32, mix, decoding);
      all.push_back(BlockCoder(*model, options).arithmetic());
      EXPECT_EQ(BlockCoder(*model, options).arithmetic(), all.back());
    }
    all.push_back(BlockCoder(*other, options_for(*other, 64, 32, mix)).arithmetic());
  }
  EXPECT_NE(all[0], all[3]);
  EXPECT_NE(all[0], all[4]);  // mixed
  EXPECT_NE(all[1], all[0]);  // libtorch's sums
}

TEST_F(Toy, AModelWithoutBosCodesItsFirstIdEvenly) {
  const auto model = toy({.mix = "torch.linear(e, self.weight[:16]) + e"});
  BlockCoderOptions options = options_for(*model, 20, 10);
  options.convention.prepend_lead = false;
  options.convention.lead_id.reset();
  CodingCost cost;
  expect_comes_back(*model, options, {"a", prose().substr(0, 90)}, &cost);
  EXPECT_EQ(cost.n_ids, 91);
}

// The bits that eval reports, summed by the other way through the code.
TEST(BlockCoder, ModelBitsAreThoseOfScoring) {
  const auto model = loaded(demo("m-sp-250"));
  const std::string text = prose().substr(0, 5000);
  CodingCost cost;
  const BlockCoderOptions options = options_for(*model, 512, 256);
  expect_comes_back(*model, options, {text}, &cost);
  Sequence sequence;
  sequence.add_lead(options.convention);
  sequence.add(model->tokenizer().encode(text));
  Batcher batcher(BatchPlan(512, 4096, 0));
  WindowCutter cutter(sequence, options.convention, 0, 1);
  double expected = 0;
  std::vector<double> bits;
  for (std::int64_t k = 0; k < n_windows(options.convention, std::ssize(sequence.ids)); ++k) {
    model->score(batcher.pack({cutter.cut(k, nullptr, k)}), bits);
    for (const double b : bits) expected += b;
  }
  EXPECT_NEAR(cost.model_bits, expected, 1e-6 * expected);
  EXPECT_EQ(cost.ideal_bits, cost.model_bits);
  EXPECT_LE(std::abs(cost.coded_bits - cost.ideal_bits), 1e-4 * static_cast<double>(cost.n_ids));
}

TEST(BlockCoder, ABlockIsTheSameInAnyCompany) {
  const auto model = loaded(demo("xs-byte-100"));
  const BlockCoderOptions options = options_for(*model, 64, 32);
  const std::vector<std::string> texts = {prose().substr(0, 500), "x", prose().substr(800, 77), random_bytes(130, 4)};
  CodingCost cost;
  BlockCoder coder(*model, options);
  const std::vector<std::string> together = coder.encode(views(texts), cost);
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(coder.encode({texts[i]}, cost)[0], together[i]);
  std::vector<std::int64_t> sizes = {77};
  EXPECT_EQ(coder.decode({together[2]}, sizes, "x")[0], texts[2]);
}

TEST(BlockCoder, MixingGainsWhereTheTextRepeatsItself) {
  const auto model = loaded(demo("xs-byte-100"));
  std::string text;
  for (int i = 0; i < 6; ++i) text += prose().substr(0, 700);
  CodingCost plain, mixed;
  expect_comes_back(*model, options_for(*model, 128, 64), {text}, &plain);
  expect_comes_back(*model, options_for(*model, 128, 64, true), {text}, &mixed);
  EXPECT_LT(mixed.coded_bits, 0.4 * plain.coded_bits);
  EXPECT_EQ(mixed.model_bits, plain.model_bits);
  // And costs next to nothing where nothing ever comes again.
  CodingCost noise, mixed_noise;
  const auto uniform = loaded("uniform:256");
  expect_comes_back(*uniform, options_for(*uniform, 128, 64), {random_bytes(4000, 6)}, &noise);
  expect_comes_back(*uniform, options_for(*uniform, 128, 64, true), {random_bytes(4000, 6)}, &mixed_noise);
  EXPECT_LT(mixed_noise.coded_bits, 1.02 * noise.coded_bits);
}

// Integers and coder together, for every size of vocabulary: rows that are certain of what comes (q = 1 but for the floor),
// certain of something else, even, and ordinary ones, of which some ids cannot be.
enum class Row { kCertain, kWrong, kEven, kOrdinary };

std::int64_t draw_row(Row kind, std::mt19937_64& random, std::vector<float>& logits) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const auto n = logits.size();
  const std::size_t id = random() % 3 == 0 ? (random() % 2 == 0 ? 0 : n - 1) : random() % n;
  for (float& x : logits) {
    const auto r = static_cast<std::uint32_t>(random());
    x = kind == Row::kEven ? 3.0F : kind == Row::kOrdinary ? static_cast<float>(r % 4096) / 128.0F : kNever;
    if (kind == Row::kOrdinary && r >> 29 == 0) x = kNever;
  }
  if (kind == Row::kCertain) logits[id] = 1e30F;
  if (kind == Row::kWrong) logits[(id + 1) % n] = 1e30F;
  if (kind == Row::kOrdinary) logits[(id + 1) % n] = 31.0F;
  return static_cast<std::int64_t>(id);
}

TEST(BlockCoder, AdversarialRowsComeBackForEveryVocabulary) {
  const kernels::Isa isa = kernels::best_isa();
  for (const std::size_t vocab : {2U, 3U, 16U, 257U, 2048U, 50257U, 131072U, 262144U}) {
    std::vector<float> logits(vocab);
    std::vector<std::uint64_t> weights(vocab);
    for (const bool all_certain : {true, false}) {
      const int n = vocab > 50000 ? 24 : 300;
      const auto kind_of = [&](int i) { return all_certain ? Row::kCertain : static_cast<Row>(i * 7 % 11 % 4); };
      std::mt19937_64 random(vocab);
      RangeEncoder encoder;
      double bits = 0;
      std::vector<std::int64_t> ids;
      for (int i = 0; i < n; ++i) {
        ids.push_back(draw_row(kind_of(i), random, logits));
        const auto interval = kernels::cdf_interval(isa, logits.data(), std::ssize(logits), ids.back());
        ASSERT_GT(interval.width, 0U);
        bits += std::log2(static_cast<double>(interval.total)) - std::log2(static_cast<double>(interval.width));
        encoder.encode(interval.low, interval.width, interval.total);
      }
      const std::string bytes = encoder.finish();
      EXPECT_LE(8.0 * static_cast<double>(bytes.size()), bits + 8.1) << vocab;
      EXPECT_LE(bytes.size(), all_certain ? 1U : 100000U) << vocab;
      random.seed(vocab);
      RangeDecoder decoder(bytes);
      for (int i = 0; i < n; ++i) {
        draw_row(kind_of(i), random, logits);
        const std::uint64_t total = kernels::cdf_weights(isa, logits.data(), std::ssize(logits), weights.data());
        const auto found = kernels::cdf_find(weights.data(), std::ssize(weights), decoder.target(total));
        ASSERT_EQ(found.symbol, ids[static_cast<std::size_t>(i)]) << "row " << i << " of vocabulary " << vocab;
        decoder.consume(found.low, found.width, total);
      }
    }
  }
}

// Whatever the payload holds: an error, or other bytes for the checksum to refuse. Never more bytes than memory, never a
// crash. 10,000 of them.
TEST(BlockCoder, TenThousandMutatedPayloadsDoNoHarm) {
  const auto model = loaded("bigram:" + source("models/heldout/code.txt"));
  const BlockCoderOptions options = options_for(*model, 64, 32);
  const std::vector<std::string> texts = {prose().substr(0, 60), "", random_bytes(40, 7)};
  CodingCost cost;
  BlockCoder coder(*model, options);
  const std::vector<std::string> payloads = coder.encode(views(texts), cost);
  std::mt19937 random(8);
  int n_refused = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string mutant = payloads[random() % 3];
    for (unsigned k = 0; k <= random() % 3; ++k) {
      if (mutant.empty() || random() % 4 == 0) {
        mutant.insert(random() % (mutant.size() + 1), random_bytes(random() % 5, static_cast<unsigned>(random())));
      } else if (random() % 4 == 0) {
        mutant.erase(random() % mutant.size(), random() % 5);
      } else {
        mutant[random() % std::min<std::size_t>(mutant.size(), 6)] = static_cast<char>(random());
      }
    }
    try {
      const auto decoded = coder.decode({mutant}, {60}, "x");
      ASSERT_LE(decoded.at(0).size(), 200U);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kData);
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 500);
}

// A tokenizer that forgets capitals, refuses a byte, and has an id too many.
class PoorTokenizer final : public Tokenizer {
 public:
  Tokens encode(std::string_view text) const override {
    if (text.find('\xff') != std::string_view::npos) throw Error(ErrorKind::kData, "0xff");
    Tokens tokens;
    for (const char c : text) tokens.ids.push_back(static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    tokens.n_bytes.assign(text.size(), 1);
    tokens.lossless = decode(tokens.ids) == text;
    return tokens;
  }
  std::string decode(std::span<const std::int32_t> ids) const override { return {ids.begin(), ids.end()}; }
  std::string kind() const override { return "poor"; }
  std::string fingerprint() const override { return ""; }
  std::int64_t vocab_size() const override { return 256; }
  std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  std::optional<std::int32_t> eos_id() const override { return std::nullopt; }
  std::string piece(std::int32_t) const override { return ""; }
};

TEST(BlockText, WhatTheTokenizerCannotCarryIsEscaped) {
  const PoorTokenizer poor;
  const BlockText plain = read_block(poor, "all small", 256);
  EXPECT_EQ(plain.pieces, (std::vector<BlockText::Piece>{{9, 0}}));
  const BlockText empty = read_block(poor, "", 256);
  EXPECT_TRUE(empty.pieces.empty());
  std::string text = prose().substr(0, 3000);
  const BlockText capitals = read_block(poor, text, 256);
  EXPECT_EQ(write_block(poor, capitals), text);
  EXPECT_GT(capitals.ids.size(), 1500U);  // most of it is carried
  EXPECT_EQ(capitals.ids.size() + capitals.escaped.size(), text.size());
  const BlockText too_large = read_block(poor, "ab\xc3\xa9" + std::string(40, 'c'), 0x80);
  EXPECT_EQ(write_block(poor, too_large), "ab\xc3\xa9" + std::string(40, 'c'));
  for (const std::int32_t id : too_large.ids) EXPECT_LT(id, 0x80);
  std::mt19937 random(9);
  for (int i = 0; i < 300; ++i) {
    const std::string bytes = i % 2 == 0 ? random_bytes(random() % 200, static_cast<unsigned>(random()))
                                         : text.substr(random() % 2000, random() % 500);
    EXPECT_EQ(write_block(poor, read_block(poor, bytes, 256)), bytes);
  }
}

}  // namespace
}  // namespace lmbits
