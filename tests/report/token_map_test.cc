#include "src/report/token_map.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "src/core/error.h"

namespace lmbits {
namespace {

const ScoredText kBytes{"bytes", {{"a", 1}, {" ", 2}, {"\xC3", 3}, {"\xA9", 4}, {"b", 5}}};  // "a éb"
const ScoredText kWords{"words", {{"a", 1}, {" \xC3\xA9", 7}, {"b", 2}}};

TEST(CommonPieces, AreTheFinestThatBothSidesHave) {
  const auto pieces = common_pieces({kBytes, kWords});
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].text, " \xC3\xA9");
  EXPECT_EQ(pieces[1].bits, (std::vector<double>{9.0, 7.0}));
  EXPECT_EQ(pieces[2].bits, (std::vector<double>{5.0, 2.0}));
}

TEST(CommonPieces, DoNotCutACodePoint) {
  const auto pieces = common_pieces({kBytes});
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[2].text, "\xC3\xA9");
  EXPECT_EQ(pieces[2].bits, (std::vector<double>{7.0}));
}

// A text cut into tokens at random, some of them without bytes.
ScoredText cut_at_random(const std::string& text, unsigned seed) {
  std::mt19937_64 random(seed);
  ScoredText side{"m" + std::to_string(seed), {}};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = std::min<std::size_t>(random() % 5, text.size() - at);
    side.tokens.push_back({text.substr(at, n), static_cast<double>(random() % 100) / 8});
    at += n;
  }
  side.tokens.push_back({"", 0.5});
  return side;
}

TEST(CommonPieces, KeepEveryByteAndEveryBitOfEachSide) {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += i % 7 == 0 ? "é" : i % 5 == 0 ? "漢" : std::string(1, static_cast<char>('a' + i % 26));
  for (unsigned seed = 1; seed <= 50; ++seed) {
    const std::vector<ScoredText> sides{cut_at_random(text, seed), cut_at_random(text, seed + 100)};
    std::string joined;
    std::vector<double> bits(2);
    for (const TextPiece& piece : common_pieces(sides)) {
      EXPECT_FALSE(piece.text.empty());
      joined += piece.text;
      for (std::size_t s = 0; s < 2; ++s) bits[s] += piece.bits[s];
    }
    EXPECT_EQ(joined, text);
    for (std::size_t s = 0; s < 2; ++s) {
      double total = 0.0;
      for (const TokenBits& token : sides[s].tokens) total += token.bits;
      EXPECT_NEAR(bits[s], total, 1e-9);
    }
  }
}

TEST(CommonPieces, RefuseDifferentTextsAndNone) {
  EXPECT_THROW(common_pieces({kBytes, {"other", {{"a b", 1}}}}), Error);
  EXPECT_THROW(common_pieces({{"empty", {}}}), Error);
}

TEST(TokenMap, ShowsTwoSidesAndTheirDifference) {
  const std::string two = draw_token_map({kBytes, kWords}, 1000).svg(Look::kInline);
  EXPECT_NE(two.find(">bytes<"), std::string::npos);
  EXPECT_NE(two.find(">words<"), std::string::npos);
  EXPECT_NE(two.find(">difference<"), std::string::npos);
  const std::string one = draw_token_map({kBytes}, 1000).svg(Look::kInline);
  EXPECT_EQ(one.find(">difference<"), std::string::npos);
}

TEST(TokenMap, DearTokensAreDarkerAndTheCheaperSideIsCool) {
  const ScoredText flat{"flat", {{"aaaa", 4}, {"bbbb", 4}}}, steep{"steep", {{"aaaa", 0}, {"bbbb", 32}}};
  const std::string svg = draw_token_map({flat, steep}, 1000).svg(Look::kInline);
  const auto colour_of = [&](const std::string& tooltip) {
    const std::size_t at = svg.find("class=\"", svg.find(tooltip)) + 7;
    return svg.substr(at, svg.find('"', at) - at);
  };
  EXPECT_EQ(colour_of("“bbbb” 32.00 bits, 8.00 a byte"), "heat-8");
  EXPECT_EQ(colour_of("“aaaa” 0.00 bits"), "heat-0");
  EXPECT_EQ(colour_of("“aaaa” flat 4.00, steep 0.00"), "diff-3");
  EXPECT_EQ(colour_of("“bbbb” flat 4.00, steep 32.00"), "diff-8");
}

TEST(TokenMap, LinesBreakBetweenWordsAndKeepAllOfTheText) {
  ScoredText text{"m", {}};
  std::string all;
  for (int i = 0; i < 40; ++i) {
    text.tokens.push_back({"word" + std::to_string(i) + " ", 1.0});
    all += text.tokens.back().bytes;
  }
  text.tokens.push_back({std::string(200, 'x'), 1.0});  // longer than a line
  all += text.tokens.back().bytes;
  const std::string svg = draw_token_map({text}, 10000).svg(Look::kInline);
  std::string shown;
  for (std::size_t at = svg.find("preserve"); at != std::string::npos; at = svg.find("preserve", at + 1)) {
    const std::size_t begin = svg.find('>', at) + 1, end = svg.find('<', begin);
    const std::string line = svg.substr(begin, end - begin);
    EXPECT_LE(line.size(), 44u);
    EXPECT_TRUE(line.back() == ' ' || line.back() == 'x') << line;
    shown += line;
  }
  EXPECT_EQ(shown, all);
}

// `text` without the escape sequences that colour it.
std::string without_colours(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      i = text.find('m', i);
    else
      plain += text[i];
  }
  return plain;
}

TEST(HeatText, ColoursWholeCharactersByTheSumOfTheirTokens) {
  const std::string text = heat_text(kBytes);
  EXPECT_NE(text.find("\x1b[48;5;100;38;5;231m\xC3\xA9\x1b[0m"), std::string::npos) << text;  // 3 + 4 bits: 6+
  EXPECT_EQ(without_colours(text).substr(0, 6),
            "a \xC3\xA9"
            "b\n");
}

TEST(HeatText, NothingOfTheTextActsOnTheTerminal) {
  const std::string text =
      without_colours(heat_text({"m", {{"\x1b[2J", 1}, {"\xC2\x9B", 2}, {"a\r\n", 3}, {"\n\t\xFF", 4}, {"", 5}}}));
  EXPECT_EQ(text.substr(0, text.find("\n 0+ ")), "\uFFFD[2J\uFFFDa␍↵\n↵\n⇥\uFFFD");
  EXPECT_EQ(heat_text({"m", {{"", 5}}}), "");
}

}  // namespace
}  // namespace lmbits
