#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {
namespace {

TEST(ByteTokenizer, EveryByteIsItsOwnIdAndComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  const auto tokenizer = make_byte_tokenizer(258, 256, 257);
  const Tokens tokens = tokenizer->encode(all + all);
  ASSERT_EQ(tokens.ids.size(), 512u);
  for (int i = 0; i < 512; ++i) EXPECT_EQ(tokens.ids[static_cast<std::size_t>(i)], i % 256);
  EXPECT_EQ(tokens.n_bytes, std::vector<std::int32_t>(512, 1));
  EXPECT_TRUE(tokens.lossless);
  EXPECT_EQ(tokenizer->decode(tokens.ids), all + all);
}

TEST(ByteTokenizer, NoTextIsNoTokens) {
  const Tokens tokens = make_byte_tokenizer(256, {}, {})->encode("");
  EXPECT_TRUE(tokens.ids.empty());
  EXPECT_TRUE(tokens.n_bytes.empty());
  EXPECT_TRUE(tokens.lossless);
}

TEST(ByteTokenizer, SpecialIdsHaveANameAndNoText) {
  const auto tokenizer = make_byte_tokenizer(300, 256, 257);
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{256, 'a', 299, 'b', 257}), "ab");
  EXPECT_EQ(tokenizer->piece('a'), "a");
  EXPECT_EQ(tokenizer->piece(256), "<bos>");
  EXPECT_EQ(tokenizer->piece(257), "<eos>");
  EXPECT_EQ(tokenizer->piece(299), "<299>");
  EXPECT_EQ(tokenizer->bos_id(), 256);
  EXPECT_EQ(make_byte_tokenizer(256, {}, {})->bos_id(), std::nullopt);
}

TEST(ByteTokenizer, AnIdOutsideTheVocabularyIsRefused) {
  const auto tokenizer = make_byte_tokenizer(258, 256, 257);
  for (const std::int32_t id : {-1, 258}) {
    EXPECT_THROW(tokenizer->decode(std::vector<std::int32_t>{id}), Error);
    EXPECT_THROW(tokenizer->piece(id), Error);
  }
}

TEST(ByteTokenizer, AVocabularyThatCannotHoldItIsRefused) {
  EXPECT_THROW(make_byte_tokenizer(255, {}, {}), Error);
  EXPECT_THROW(make_byte_tokenizer(257, 256, 257), Error);
  EXPECT_THROW(make_byte_tokenizer(257, -1, {}), Error);
}

TEST(ByteTokenizer, TheFingerprintIsThatOfTheSettings) {
  const std::string fingerprint = make_byte_tokenizer(258, 256, 257)->fingerprint();
  EXPECT_EQ(fingerprint.size(), 32u);
  EXPECT_EQ(fingerprint, make_byte_tokenizer(258, 256, 257)->fingerprint());
  EXPECT_NE(fingerprint, make_byte_tokenizer(259, 256, 257)->fingerprint());
  EXPECT_NE(fingerprint, make_byte_tokenizer(258, 257, 256)->fingerprint());
  EXPECT_NE(fingerprint, make_byte_tokenizer(258, 256, {})->fingerprint());
}

}  // namespace
}  // namespace lmbits
