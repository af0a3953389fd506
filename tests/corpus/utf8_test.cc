#include "src/corpus/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lmbits {
namespace {

// Every row of Unicode's table 3-7 (well-formed UTF-8 byte sequences), as the ranges of its bytes.
struct Range {
  unsigned char min, max;
};
const std::vector<std::vector<Range>> kWellFormed = {
    {{0x00, 0x7F}},
    {{0xC2, 0xDF}, {0x80, 0xBF}},
    {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
    {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
    {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
    {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
};

struct Expected {
  std::int64_t n_code_points = 0;
  std::size_t valid_prefix = 0;
};

// The definition, word for word: the longest prefix of a row that matches is one unit; no row at all, one byte.
Expected reference(const std::string& bytes) {
  Expected expected;
  bool valid = true;
  for (std::size_t at = 0; at < bytes.size(); ++expected.n_code_points) {
    std::size_t longest = 1;
    bool complete = false;
    for (const auto& row : kWellFormed) {
      std::size_t k = 0;
      for (; k < row.size() && at + k < bytes.size(); ++k) {
        const auto byte = static_cast<unsigned char>(bytes[at + k]);
        if (byte < row[k].min || byte > row[k].max) break;
      }
      longest = std::max(longest, k);
      complete = complete || k == row.size();
    }
    at += longest;
    valid = valid && complete;
    if (valid) expected.valid_prefix = at;
  }
  return expected;
}

void expect_as_reference(const std::string& bytes) {
  const Expected expected = reference(bytes);
  ASSERT_EQ(count_code_points(bytes), expected.n_code_points) << testing::PrintToString(bytes);
  ASSERT_EQ(valid_utf8_prefix(bytes), expected.valid_prefix) << testing::PrintToString(bytes);
}

TEST(Utf8, AgreesWithTable37OnEverySequenceOfBoundaryBytes) {
  const std::string boundary =
      "\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5\xFF";
  for (const char a : boundary) {
    for (const char b : boundary) {
      for (const char c : boundary) {
        expect_as_reference({a, b, c});
        for (const char d : boundary) expect_as_reference({a, b, c, d});
      }
    }
  }
}

TEST(Utf8, CountsTheSameWhereverAnOddByteStandsAmongAscii) {
  for (const std::string odd : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xE2\x82", "\xFF", "\xED\xA0\x80"}) {
    for (std::size_t before = 0; before < 20; ++before) {
      for (std::size_t after = 0; after < 20; ++after) {
        expect_as_reference(std::string(before, 'a') + odd + std::string(after, 'b'));
      }
    }
  }
}

TEST(Utf8, EveryCodePointIsOneCharacterOfItsLength) {
  for (std::uint32_t c = 1; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 7) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string bytes;
    const auto push = [&](std::uint32_t byte) { bytes.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
      push(c);
    } else if (c < 0x800) {
      push(0xC0 | c >> 6), push(0x80 | (c & 63));
    } else if (c < 0x10000) {
      push(0xE0 | c >> 12), push(0x80 | (c >> 6 & 63)), push(0x80 | (c & 63));
    } else {
      push(0xF0 | c >> 18), push(0x80 | (c >> 12 & 63)), push(0x80 | (c >> 6 & 63)), push(0x80 | (c & 63));
    }
    ASSERT_EQ(utf8_character_length(bytes), bytes.size()) << c;
    ASSERT_EQ(utf8_character_length(bytes + "x"), bytes.size()) << c;
    ASSERT_EQ(utf8_character_length(bytes.substr(0, bytes.size() - 1)), 0u) << c;
    ASSERT_EQ(count_code_points(bytes + bytes), 2) << c;
  }
}

TEST(Utf8, NulIsACharacterAndEmptyHasNone) {
  EXPECT_EQ(count_code_points(std::string_view("a\0b", 3)), 3);
  EXPECT_EQ(valid_utf8_prefix(std::string_view("a\0b", 3)), 3u);
  EXPECT_EQ(count_code_points(""), 0);
  EXPECT_EQ(valid_utf8_prefix(""), 0u);
  EXPECT_EQ(utf8_character_length(""), 0u);
}

}  // namespace
}  // namespace lmbits
