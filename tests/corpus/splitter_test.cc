#include "src/corpus/splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

using Pieces = std::vector<std::string>;

// Hands out at most `step` bytes a call, so that every cut is also met at the edge of what was read.
class TrickleSource : public ByteSource {
 public:
  TrickleSource(std::string bytes, std::size_t step) : bytes_(std::move(bytes)), step_(step) {}
  std::size_t read(char* out, std::size_t n) override {
    const std::size_t n_read = bytes_.copy(out, std::min(n, step_), offset_);
    offset_ += n_read;
    return n_read;
  }

 private:
  std::string bytes_;
  std::size_t step_;
  std::size_t offset_ = 0;
};

Pieces split(const std::string& bytes, const std::string& how, std::size_t step = 1 << 20) {
  DocumentSplitter splitter(std::make_unique<TrickleSource>(bytes, step), parse_split(how));
  Pieces pieces;
  while (auto piece = splitter.next()) pieces.push_back(*std::move(piece));
  return pieces;
}

std::string joined(const Pieces& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

std::string random_text(std::mt19937& rng, const std::vector<std::string>& alphabet, std::size_t n) {
  std::string text;
  while (n-- > 0) text += alphabet[rng() % alphabet.size()];
  return text;
}

TEST(DocumentSplitter, PiecesJoinToTheSourceAndNoneIsEmptyHoweverItIsRead) {
  std::mt19937 rng(1);
  const std::vector<std::string> alphabet = {
      "a", " ", "\n", "\n\n", "\r\n", "\r", "\0", "\xC3\xA9", "\xE2\x82", "\xFF", "\xF0\x9F\x98\x80"};
  for (int trial = 0; trial < 300; ++trial) {
    const std::string text = random_text(rng, alphabet, 1 + rng() % 40);
    for (const char* how : {"none", "lines", "paragraphs", "1", "2", "3", "7", "1000"}) {
      const Pieces pieces = split(text, how);
      ASSERT_EQ(joined(pieces), text) << how;
      for (const std::string& piece : pieces) ASSERT_FALSE(piece.empty()) << how;
      for (const std::size_t step : {1, 2, 3, 5}) ASSERT_EQ(split(text, how, step), pieces) << how;
    }
  }
}

TEST(DocumentSplitter, AnEmptySourceIsOneEmptyPiece) {
  for (const char* how : {"none", "lines", "paragraphs", "4"}) EXPECT_EQ(split("", how), Pieces{""}) << how;
}

TEST(DocumentSplitter, NoneKeepsTheSourceWhole) { EXPECT_EQ(split("a\n\nb\n", "none"), Pieces{"a\n\nb\n"}); }

TEST(DocumentSplitter, ALineHasItsNewline) {
  EXPECT_EQ(split("a\n\r\nb\r\nc", "lines"), (Pieces{"a\n", "\r\n", "b\r\n", "c"}));
  EXPECT_EQ(split("a\n", "lines"), Pieces{"a\n"});
}

TEST(DocumentSplitter, AParagraphHasTheBlankLinesThatEndIt) {
  EXPECT_EQ(split("a\nb\n\nc\n", "paragraphs"), (Pieces{"a\nb\n\n", "c\n"}));
  EXPECT_EQ(split("a\n\n\n\nb", "paragraphs"), (Pieces{"a\n\n\n\n", "b"}));
  EXPECT_EQ(split("a\r\n\r\nb\r\n\n\r\nc", "paragraphs"), (Pieces{"a\r\n\r\n", "b\r\n\n\r\n", "c"}));
  EXPECT_EQ(split("a\n\n", "paragraphs"), Pieces{"a\n\n"});
}

TEST(DocumentSplitter, ALineOfSpacesOrALoneReturnIsNotBlank) {
  EXPECT_EQ(split("a\n \nb", "paragraphs"), Pieces{"a\n \nb"});
  EXPECT_EQ(split("a\n\rb\n\nc", "paragraphs"), (Pieces{"a\n\rb\n\n", "c"}));
}

TEST(DocumentSplitter, BlankLinesAtTheStartBelongToTheFirstParagraph) {
  EXPECT_EQ(split("\n\r\na\n\nb", "paragraphs"), (Pieces{"\n\r\na\n\n", "b"}));
  EXPECT_EQ(split("\n\n\n", "paragraphs"), Pieces{"\n\n\n"});
}

TEST(DocumentSplitter, ByteCutsMoveBackToACharacterBoundary) {
  EXPECT_EQ(split("abcdef", "4"), (Pieces{"abcd", "ef"}));
  EXPECT_EQ(split("abcd", "4"), Pieces{"abcd"});
  EXPECT_EQ(split("abc\xC3\xA9", "4"), (Pieces{"abc", "\xC3\xA9"}));
  EXPECT_EQ(split("a\xF0\x9F\x98\x80", "4"), (Pieces{"a", "\xF0\x9F\x98\x80"}));
  EXPECT_EQ(split("\xE2\x82\xAC\xE2\x82\xAC", "1"), (Pieces{"\xE2\x82\xAC", "\xE2\x82\xAC"}));
}

TEST(DocumentSplitter, ByteCutsOfValidTextGiveValidPiecesWithinThreeBytesOfTheSize) {
  std::mt19937 rng(2);
  const std::string text = random_text(rng, {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\n"}, 2000);
  for (std::size_t n = 1; n < 20; ++n) {
    const Pieces pieces = split(text, std::to_string(n));
    for (const std::string& piece : pieces) {
      ASSERT_EQ(valid_utf8_prefix(piece), piece.size()) << n;
      ASSERT_LE(piece.size(), std::max<std::size_t>(n, utf8_character_length(piece)));
      ASSERT_TRUE(piece.size() + 3 >= n || &piece == &pieces.back()) << n;
    }
  }
}

TEST(DocumentSplitter, ByteCutsOfInvalidTextAreExact) {
  EXPECT_EQ(split("\x80\x80\x80\x80\x80\x80", "4"), (Pieces{"\x80\x80\x80\x80", "\x80\x80"}));
  EXPECT_EQ(split("abc\xE2\x41", "4"), (Pieces{"abc\xE2", "A"}));
}

TEST(DocumentSplitter, APieceLongerThanWhatIsReadAtOnceStaysWhole) {
  const std::string line(7 * kReadBytes / 2, 'x');
  const std::string text = line + "\n\n" + line + "\n";
  EXPECT_EQ(split(text, "lines"), (Pieces{line + "\n", "\n", line + "\n"}));
  EXPECT_EQ(split(text, "paragraphs"), (Pieces{line + "\n\n", line + "\n"}));
  EXPECT_EQ(split(text, std::to_string(line.size())).front(), line);
}

TEST(DocumentSplitter, AnUnknownSplitIsAConfigurationError) {
  for (const char* bad : {"", "sentences", "0", "-1", "1.5", "12x", "99999999999999999999"}) {
    try {
      parse_split(bad);
      ADD_FAILURE() << bad << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    }
  }
}

}  // namespace
}  // namespace lmbits
