// Vocabularies inside made GGUF files: their split rules by name, their bounds.
#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lmbits {
namespace {

using Strings = std::vector<std::string>;
constexpr std::uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

template <typename Number>
std::string number(Number value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string text_of(std::string_view text) { return number<std::uint64_t>(text.size()) + std::string(text); }

class GgufFile {
 public:
  GgufFile& put(const std::string& key, std::uint32_t type, const std::string& value) {
    pairs_ += text_of(key) + number(type) + value;
    ++n_pairs_;
    return *this;
  }
  GgufFile& put_text(const std::string& key, std::string_view value) { return put(key, kString, text_of(value)); }
  GgufFile& put_texts(const std::string& key, const Strings& values) {
    std::string all = number(kString) + number<std::uint64_t>(values.size());
    for (const std::string& value : values) all += text_of(value);
    return put(key, kArray, all);
  }
  template <typename Number>
  GgufFile& put_numbers(const std::string& key, std::uint32_t type, const std::vector<Number>& values) {
    std::string all = number(type) + number<std::uint64_t>(values.size());
    for (const Number value : values) all += number(value);
    return put(key, kArray, all);
  }
  std::string bytes() const {
    return "GGUF" + number<std::uint32_t>(3) + number<std::uint64_t>(0) + number<std::uint64_t>(n_pairs_) + pairs_;
  }

 private:
  std::string pairs_;
  std::uint64_t n_pairs_ = 0;
};

std::string gpt2_file(const std::string& pre) {
  Strings tokens, merges;
  std::vector<std::int32_t> types(256, 1);
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(to_byte_alphabet(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {"1", "2"}, {"3", "4"}, {"12", "34"}, {"!", "a"}, {"\n", "\n"}}) {
    tokens.push_back(to_byte_alphabet(left + right));
    merges.push_back(to_byte_alphabet(left) + " " + to_byte_alphabet(right));
    types.push_back(1);
  }
  for (const auto& [name, type] : std::vector<std::pair<std::string, int>>{{"<ctl>", 3}, {"<usr>", 4}}) {
    tokens.push_back(name);
    types.push_back(type);
  }
  return GgufFile()
      .put_text("tokenizer.ggml.model", "gpt2")
      .put_text("tokenizer.ggml.pre", pre)
      .put_texts("tokenizer.ggml.tokens", tokens)
      .put_numbers("tokenizer.ggml.token_type", kI32, types)
      .put_texts("tokenizer.ggml.merges", merges)
      .put("tokenizer.ggml.eos_token_id", kU32, number<std::uint32_t>(261))
      .bytes();
}

Strings pieces(const Tokenizer& tokenizer, const std::string& text) {
  Strings all;
  for (const std::int32_t id : tokenizer.encode(text).ids) all.push_back(tokenizer.piece(id));
  return all;
}

TEST(GgufVocabulary, SplitsByTheRuleThatItNames) {
  const std::vector<std::pair<Strings, Strings>> rules = {
      {{"gpt-2", "mpt", "olmo"}, {"1234", "!", "a", "\n\n"}},
      {{"starcoder", "refact", "command-r", "smollm"}, {"1", "2", "3", "4", "!", "a", "\n\n"}},
      {{"falcon"}, {"12", "3", "4", "!", "a", "\n\n"}},
      {{"deepseek-coder"}, {"1", "2", "3", "4", "!", "a", "\n", "\n"}},
      {{"deepseek-v3", "llama-bpe", "gpt-4o"}, {"12", "3", "4", "!a", "\n\n"}},
      {{"qwen2", "deepseek-r1-qwen"}, {"1", "2", "3", "4", "!a", "\n\n"}}};
  for (const auto& [names, expected] : rules) {
    for (const std::string& name : names)
      EXPECT_EQ(pieces(*read_gguf_vocabulary(gpt2_file(name)), "1234!a\n\n"), expected) << name;
  }
  try {
    read_gguf_vocabulary(gpt2_file("odd-one"));
    ADD_FAILURE() << "an unknown rule was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("odd-one"), std::string::npos) << e.what();
  }
}

TEST(GgufVocabulary, FindsUserDefinedTokensInATextAndControlTokensNot) {
  const auto tokenizer = read_gguf_vocabulary(gpt2_file("gpt-2"));
  EXPECT_EQ(pieces(*tokenizer, "1<usr><ctl>"), (Strings{"1", "<usr>", "<", "c", "t", "l", ">"}));
  EXPECT_EQ(tokenizer->eos_id(), 261);
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
}

std::string llama_file(bool adds_prefix) {
  Strings tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {2, 3, 3};
  std::vector<float> scores(3, 0);
  char name[8];
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    tokens.emplace_back(name);
    types.push_back(6);
    scores.push_back(0);
  }
  for (const auto& [piece, score] : std::vector<std::pair<std::string, float>>{{"\xE2\x96\x81"
                                                                                "a",
                                                                                -1.F},
                                                                               {"\xE2\x96\x81", -2.F},
                                                                               {"a", -3.F},
                                                                               {"\xE2\x96\x81"
                                                                                "q",
                                                                                -4.F}}) {
    tokens.push_back(piece);
    types.push_back(1);
    scores.push_back(score);
  }
  return GgufFile()
      .put_text("tokenizer.ggml.model", "llama")
      .put_texts("tokenizer.ggml.tokens", tokens)
      .put_numbers("tokenizer.ggml.scores", kF32, scores)
      .put_numbers("tokenizer.ggml.token_type", kI32, types)
      .put("tokenizer.ggml.bos_token_id", kU32, number<std::uint32_t>(1))
      .put("tokenizer.ggml.eos_token_id", kU32, number<std::uint32_t>(2))
      .put("tokenizer.ggml.add_space_prefix", kBool, number<std::uint8_t>(adds_prefix))
      .bytes();
}

TEST(GgufVocabulary, OfKindLlamaIsItsSentencePieceModel) {
  const std::int32_t meta_a = 259, meta = 260, a = 261;
  const auto prefixed = read_gguf_vocabulary(llama_file(true)), plain = read_gguf_vocabulary(llama_file(false));
  EXPECT_EQ(prefixed->encode("a a").ids, (std::vector<std::int32_t>{meta_a, meta_a}));
  EXPECT_EQ(plain->encode("a a").ids, (std::vector<std::int32_t>{a, meta_a}));
  EXPECT_EQ(prefixed->encode("\xC3\xA9").ids, (std::vector<std::int32_t>{meta, 3 + 0xC3, 3 + 0xA9}));
  // A character that is no piece merges all the same; its bytes are what is left in the end.
  EXPECT_EQ(prefixed->encode("qq").ids, (std::vector<std::int32_t>{262, 3 + 'q'}));
  EXPECT_EQ(prefixed->bos_id(), 1);
  EXPECT_EQ(prefixed->eos_id(), 2);
}

TEST(GgufVocabulary, WhatEndsEarlyIsDamagedWhereverItEnds) {
  for (const std::string& whole : {gpt2_file("gpt-2"), llama_file(true)}) {
    for (std::size_t n = 0; n < whole.size(); n += 1 + n / 200) {
      try {
        read_gguf_vocabulary(whole.substr(0, n));
        ADD_FAILURE() << n << " of " << whole.size() << " bytes were taken";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::kModel) << e.what();
      }
    }
  }
}

TEST(GgufVocabulary, ATokenOfAnUnknownTypeIsDamage) {
  for (const float type : {-1.F, 7.F, 63489.F, std::nanf("")}) {
    const std::string bytes = GgufFile()
                                  .put_text("tokenizer.ggml.model", "gpt2")
                                  .put_texts("tokenizer.ggml.tokens", {"a"})
                                  .put_numbers("tokenizer.ggml.token_type", kF32, std::vector<float>{type})
                                  .bytes();
    EXPECT_THROW(read_gguf_vocabulary(bytes), Error) << type;
  }
}

TEST(GgufVocabulary, AMergeOfWhatIsNoTokenIsDamage) {
  const std::string bytes = GgufFile()
                                .put_text("tokenizer.ggml.model", "gpt2")
                                .put_texts("tokenizer.ggml.tokens", {"a", "b"})
                                .put_texts("tokenizer.ggml.merges", {"a b"})
                                .bytes();
  EXPECT_THROW(read_gguf_vocabulary(bytes), Error);
}

// A file's tensors are gigabytes: what stands before them is enough.
TEST(GgufVocabulary, IsReadFromTheMetadataAlone) {
  const std::string head = gpt2_file("gpt-2"), file = head + std::string(1000, '\x7F');
  EXPECT_EQ(gguf_metadata(file), head);
  EXPECT_EQ(read_gguf_vocabulary(std::string(gguf_metadata(file)))->encode("a1234").ids,
            read_gguf_vocabulary(file)->encode("a1234").ids);
  EXPECT_THROW(gguf_metadata(file.substr(0, head.size() - 1)), Error);
}

}  // namespace
}  // namespace lmbits
