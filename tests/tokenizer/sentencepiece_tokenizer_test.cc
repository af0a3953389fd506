#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {
namespace {

using namespace std::string_literals;
using Flags = std::unordered_map<std::string, std::string>;

// Sentences of invented words, drawn so that a few are common: enough for a trainer to find merges in.
std::vector<std::string> sentences(std::size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  const std::vector<std::string> syllables = {"ka", "lo", "mi", "ten", "sa", "r", "un", "th", "e", "\xC3\xA9", "ing"};
  std::vector<std::string> words;
  for (int i = 0; i < 80; ++i) {
    std::string word;
    for (std::size_t k = 1 + rng() % 3; k > 0; --k) word += syllables[rng() % syllables.size()];
    words.push_back(word);
  }
  std::vector<std::string> lines;
  while (n-- > 0) {
    std::string line;
    for (std::size_t k = 4 + rng() % 8; k > 0; --k) {
      line += words[rng() % (1 + rng() % words.size())] + (k > 1 ? " " : ".");
    }
    lines.push_back(line);
  }
  return lines;
}

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  bool done() const override { return next_ == lines_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return lines_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  std::size_t next_ = 0;
};

std::string train(const Flags& changes, const std::vector<std::string>& text = sentences(600, 1)) {
  Flags flags = {{"model_type", "bpe"},
                 {"vocab_size", "420"},
                 {"byte_fallback", "true"},
                 {"normalization_rule_name", "identity"},
                 {"add_dummy_prefix", "false"},
                 {"remove_extra_whitespaces", "false"},
                 {"allow_whitespace_only_pieces", "true"},
                 {"eos_id", "-1"},
                 {"hard_vocab_limit", "false"},
                 {"num_threads", "1"},
                 {"minloglevel", "3"}};
  for (const auto& [name, value] : changes) flags[name] = value;
  Sentences lines(text);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(flags, &lines, &model);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return model;
}

const std::map<std::string, Flags> kModels = {
    {"plain", {}},
    {"newline", {{"user_defined_symbols", "\n"}}},
    {"prefix", {{"add_dummy_prefix", "true"}, {"eos_id", "2"}}},
    {"symbols", {{"add_dummy_prefix", "true"}, {"user_defined_symbols", "\n\n,.ka,<x>"}}},
    {"unigram", {{"model_type", "unigram"}, {"add_dummy_prefix", "true"}}},
    {"nfkc",
     {{"normalization_rule_name", "nmt_nfkc"}, {"add_dummy_prefix", "true"}, {"remove_extra_whitespaces", "true"}}},
    {"no bytes", {{"byte_fallback", "false"}, {"vocab_size", "120"}}}};

const std::string& model_of(const std::string& name) {  // trained when it is first asked for
  static std::map<std::string, std::string> trained;
  const auto [found, is_new] = trained.try_emplace(name);
  if (is_new) found->second = train(kModels.at(name));
  return found->second;
}

std::unique_ptr<Tokenizer> tokenizer(const std::string& name) { return make_sentencepiece_tokenizer(model_of(name)); }

std::unique_ptr<sentencepiece::SentencePieceProcessor> library(const std::string& model) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  EXPECT_TRUE(processor->LoadFromSerializedProto(model).ok());
  return processor;
}

std::int64_t total(const std::vector<std::int32_t>& n_bytes) {
  return std::accumulate(n_bytes.begin(), n_bytes.end(), std::int64_t{0});
}

std::string random_text(std::mt19937& rng, std::size_t n) {
  const std::vector<std::string> parts = {" ",   "  ",       "\n",           "\n\n", "\r\n", "\t",
                                          "\0"s, "<s>",      "<0x41>",       "<x>",  "ka",   "e",
                                          "ten", "\xC3\xA9", "\xE2\x82\xAC", "ing.", ".",    "\xF0\x9F\x98\x80"};
  static const std::vector<std::string> lines = sentences(200, 2);
  std::string text;
  while (text.size() < n) text += rng() % 3 ? lines[rng() % lines.size()] : parts[rng() % parts.size()];
  return text;
}

TEST(SentencePieceTokenizer, GivesTheIdsOfOneLibraryCallOnTheWholeText) {
  std::mt19937 rng(3);
  for (const auto& [name, flags] : kModels) {
    if (name == "unigram"s) continue;  // of paths that are nearly equal this library takes others: see below
    const auto reference = library(model_of(name));
    const auto tokenizer = lmbits::tokenizer(name);
    for (const std::size_t n : {0, 1, 10, 100, 9000, 60000}) {
      const std::string text = random_text(rng, n);
      ASSERT_EQ(tokenizer->encode(text).ids, reference->EncodeAsIds(text)) << name << ", " << n;
    }
  }
}

TEST(SentencePieceTokenizer, LongTextsWithoutAPlaceToCutStayExact) {
  for (const char* name : {"plain", "prefix", "symbols"}) {
    const auto reference = library(model_of(name));
    for (const std::string& unit : {"ka"s, " "s, "e ten"s, "\n"s, "\xE2\x82\xAC"s, "the"s}) {
      std::string text;
      while (text.size() < 30000) text += unit;
      ASSERT_EQ(tokenizer(name)->encode(text).ids, reference->EncodeAsIds(text)) << name << ", " << unit;
    }
  }
}

// SentencePiece 0.2.3's best path, slowly: sums are floats, of equal ones the first found counts, and where one is beyond
// 100,000 all begin anew from it. `normalised` has pieces only.
std::vector<std::int32_t> best_path(const sentencepiece::SentencePieceProcessor& model, const std::string& normalised) {
  std::unordered_map<std::string, std::int32_t> ids;
  std::size_t longest = 0;
  for (int id = 0; id < model.GetPieceSize(); ++id) {
    if (model.IsByte(id) || model.IsControl(id) || model.IsUnknown(id)) continue;
    ids[model.IdToPiece(id)] = id;
    longest = std::max(longest, model.IdToPiece(id).size());
  }
  struct Node {
    float score = 0;
    std::size_t begin = 0;
    std::int32_t id = -1;
  };
  std::vector<Node> nodes(normalised.size() + 1);
  for (std::size_t at = 0; at < normalised.size(); ++at) {
    if (at > 0 && nodes[at].id < 0) continue;
    if (const float sum = nodes[at].score; sum < -100000.0F) {
      nodes[at].score = 0;
      for (std::size_t i = at + 1; i < nodes.size(); ++i)
        if (nodes[i].id >= 0) nodes[i].score -= sum;
    }
    for (std::size_t n = 1; n <= std::min(longest, normalised.size() - at); ++n) {
      const auto found = ids.find(normalised.substr(at, n));
      if (found == ids.end()) continue;
      const float score = nodes[at].score + model.GetScore(found->second);
      if (nodes[at + n].id < 0 || score > nodes[at + n].score) nodes[at + n] = {score, at, found->second};
    }
  }
  std::vector<std::int32_t> path;
  for (std::size_t at = normalised.size(); at > 0; at = nodes[at].begin) path.push_back(nodes[at].id);
  std::ranges::reverse(path);
  return path;
}

// The library of this system, 0.1.97, compares double sums with sums rounded to float, 0.2.3 floats with floats: where two
// paths are nearly equal they may take others. Ours are those of the newer one.
TEST(SentencePieceTokenizer, AUnigramModelTakesThePathWhoseFloatSumIsBest) {
  std::mt19937 rng(10);
  const auto letters = [&](std::size_t n) {  // many ways to cut a word into pieces, of nearly the same score
    std::string text;
    while (n-- > 0) text.push_back("abc "[rng() % 4]);
    return text;
  };
  std::vector<std::string> lines;
  for (int i = 0; i < 200; ++i) lines.push_back(letters(60));
  const std::string model = train({{"model_type", "unigram"}}, lines);
  const auto reference = library(model);
  const auto tokenizer = make_sentencepiece_tokenizer(model);
  for (const std::size_t n : {1, 10, 1000, 100000, 200000}) {
    const std::string text = letters(n);
    std::string normalised;
    for (const std::string& piece : reference->EncodeAsPieces(text)) normalised += piece;
    const Tokens tokens = tokenizer->encode(text);
    EXPECT_EQ(tokens.ids, best_path(*reference, normalised)) << n;
    EXPECT_EQ(total(tokens.n_bytes), static_cast<std::int64_t>(n));
    EXPECT_TRUE(tokens.lossless);
  }
}

// Whatever path is taken, its pieces spell the normalised text.
TEST(SentencePieceTokenizer, AUnigramModelNormalisesAsTheLibraryDoes) {
  const std::vector<Flags> settings = {
      {{"normalization_rule_name", "nmt_nfkc"}, {"add_dummy_prefix", "true"}, {"remove_extra_whitespaces", "true"}},
      {{"normalization_rule_name", "nfkc_cf"}, {"add_dummy_prefix", "true"}, {"user_defined_symbols", "\n,<x>, the"}},
      {{"remove_extra_whitespaces", "true"}, {"treat_whitespace_as_suffix", "true"}, {"add_dummy_prefix", "true"}}};
  const std::vector<std::string> special = {"\xEF\xAC\x81", "\xEF\xBC\xA1", "\xE3\x80\x80", "\xC3\x9F",
                                            "e\xCC\x81",    "\xE2\x96\x81", "\xC2\xA0 ",    "   "};
  std::mt19937 rng(12);
  for (const Flags& changes : settings) {
    Flags flags = changes;
    flags["model_type"] = "unigram";
    const std::string model = train(flags);
    const auto reference = library(model);
    const auto tokenizer = make_sentencepiece_tokenizer(model);
    for (int trial = 0; trial < 200; ++trial) {
      std::string text = random_text(rng, 30);
      for (int k = 0; k < 4; ++k)
        text = trial % 2 ? special[rng() % special.size()] + text : text + special[rng() % special.size()];
      std::string expected, spelt;
      for (const std::string& piece : reference->EncodeAsPieces(text)) expected += piece;
      const Tokens tokens = tokenizer->encode(text);
      for (const std::int32_t id : tokens.ids) spelt += reference->IdToPiece(id);
      ASSERT_EQ(spelt, expected) << text;
      ASSERT_EQ(total(tokens.n_bytes), static_cast<std::int64_t>(text.size()));
    }
  }
}

TEST(SentencePieceTokenizer, DecodesAsTheLibraryDoes) {
  std::mt19937 rng(4);
  for (const auto& [name, flags] : kModels) {
    const auto reference = library(model_of(name));
    const auto tokenizer = lmbits::tokenizer(name);
    for (int trial = 0; trial < 50; ++trial) {
      const auto ids = reference->EncodeAsIds(random_text(rng, 60));
      ASSERT_EQ(tokenizer->decode(ids), reference->DecodeIds(ids)) << name;
    }
  }
}

TEST(SentencePieceTokenizer, IdentityModelsAreLosslessAndTheirTokensAddUpToTheText) {
  std::mt19937 rng(5);
  for (const char* name : {"plain", "newline", "prefix", "symbols", "unigram"}) {
    const auto tokenizer = lmbits::tokenizer(name);
    for (const std::size_t n : {0, 1, 50, 20000}) {
      const std::string text = random_text(rng, n);
      const Tokens tokens = tokenizer->encode(text);
      ASSERT_TRUE(tokens.lossless) << name;
      ASSERT_EQ(tokenizer->decode(tokens.ids), text) << name;
      ASSERT_EQ(tokens.n_bytes.size(), tokens.ids.size());
      ASSERT_EQ(total(tokens.n_bytes), static_cast<std::int64_t>(text.size())) << name;
    }
  }
}

TEST(SentencePieceTokenizer, EachTokenHasTheBytesItDecodesTo) {
  std::mt19937 rng(6);
  const auto tokenizer = lmbits::tokenizer("newline");
  const Tokens tokens = tokenizer->encode(random_text(rng, 5000) + "\xF0\x9F\x98\x80");
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    const std::string alone = tokenizer->decode(std::span(tokens.ids).subspan(i, 1));
    ASSERT_EQ(alone.size(), static_cast<std::size_t>(tokens.n_bytes[i]));
  }
}

TEST(SentencePieceTokenizer, InvalidUtf8IsKeptByteForByteWhereTheModelHasBytes) {
  std::mt19937 rng(7);
  for (const char* name : {"plain", "newline", "prefix", "symbols", "unigram"}) {
    const auto tokenizer = lmbits::tokenizer(name);
    for (int trial = 0; trial < 50; ++trial) {
      std::string text = random_text(rng, 80);
      for (int k = 0; k < 6; ++k) text[rng() % text.size()] = static_cast<char>(0x80 + rng() % 128);
      const Tokens tokens = tokenizer->encode(text);
      ASSERT_EQ(tokenizer->decode(tokens.ids), text) << name;
      ASSERT_TRUE(tokens.lossless);
      ASSERT_EQ(total(tokens.n_bytes), static_cast<std::int64_t>(text.size())) << name;
    }
  }
}

TEST(SentencePieceTokenizer, InvalidUtf8WithoutBytePiecesIsAnErrorThatNamesTheByte) {
  try {
    tokenizer("no bytes")->encode("ka lo\xFF");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_NE(std::string(error.what()).find("at byte 5"), std::string::npos) << error.what();
  }
}

TEST(SentencePieceTokenizer, WhatAModelLosesIsSaid) {
  EXPECT_FALSE(tokenizer("nfkc")->encode("ka \xEF\xBC\xA1").lossless);  // a full-width A
  EXPECT_FALSE(tokenizer("nfkc")->encode("ka  lo").lossless);
  EXPECT_TRUE(tokenizer("nfkc")->encode("ka lo").lossless);
  EXPECT_FALSE(tokenizer("no bytes")->encode("ka \xE2\x82\xAC").lossless);
  EXPECT_FALSE(tokenizer("plain")->encode("\xE2\x96\x81").lossless);  // "▁" itself comes back as a space
}

TEST(SentencePieceTokenizer, AnEmptyTextHasNoTokens) {
  for (const auto& [name, flags] : kModels) {
    const Tokens tokens = tokenizer(name)->encode("");
    EXPECT_TRUE(tokens.ids.empty()) << name;
    EXPECT_TRUE(tokens.lossless) << name;
  }
}

TEST(SentencePieceTokenizer, TellsItsSpecialIdsAndPieces) {
  EXPECT_EQ(tokenizer("plain")->bos_id(), 1);
  EXPECT_EQ(tokenizer("plain")->eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer("prefix")->eos_id(), 2);
  EXPECT_EQ(tokenizer("plain")->piece(0), "<unk>");
  EXPECT_EQ(tokenizer("plain")->piece(1), "<s>");
  EXPECT_EQ(tokenizer("plain")->piece(tokenizer("plain")->encode("\xFF").ids[0]), "\xFF");
  EXPECT_THROW(tokenizer("plain")->piece(100000), Error);
  EXPECT_THROW(tokenizer("plain")->decode(std::vector<std::int32_t>{-1}), Error);
}

TEST(SentencePieceTokenizer, TheFingerprintIsThatOfTheModel) {
  EXPECT_EQ(tokenizer("plain")->fingerprint(), tokenizer("plain")->fingerprint());
  EXPECT_NE(tokenizer("plain")->fingerprint(), tokenizer("newline")->fingerprint());
  EXPECT_EQ(tokenizer("plain")->fingerprint().size(), 32u);
}

TEST(SentencePieceTokenizer, ADamagedModelIsAnErrorOrAModelButNeverACrash) {
  const std::string& model = model_of("symbols");
  EXPECT_THROW(make_sentencepiece_tokenizer(""), Error);
  EXPECT_THROW(make_sentencepiece_tokenizer("not a model"), Error);
  std::mt19937 rng(8);
  for (int trial = 0; trial < 200; ++trial) {
    std::string damaged = model.substr(0, trial % 2 ? model.size() : rng() % model.size());
    if (!damaged.empty()) damaged[rng() % damaged.size()] ^= static_cast<char>(1 << rng() % 8);
    try {
      make_sentencepiece_tokenizer(damaged)->encode("ka lo \xE2\x82\xAC\n");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel);
    }
  }
}

TEST(SentencePieceTokenizer, APublishedModelGivesTheLibrarysIdsAndLosesNothing) {
  const char* const shared = std::getenv("LMBITS_SHARED");
  if (!shared) GTEST_SKIP() << "LMBITS_SHARED is not set: no published model to read";
  std::ifstream file(std::string(shared) + "/data/tokenizers/mistral-v1.model", std::ios::binary);
  const std::string model{std::istreambuf_iterator<char>(file), {}};
  const auto reference = library(model);
  const auto tokenizer = make_sentencepiece_tokenizer(model);
  std::mt19937 rng(9);
  for (const std::size_t n : {10, 1000, 100000}) {
    const std::string text = random_text(rng, n);
    const Tokens tokens = tokenizer->encode(text);
    ASSERT_EQ(tokens.ids, reference->EncodeAsIds(text));
    EXPECT_TRUE(tokens.lossless);
    EXPECT_EQ(total(tokens.n_bytes), static_cast<std::int64_t>(text.size()));
  }
}

}  // namespace
}  // namespace lmbits
