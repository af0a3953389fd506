// What a pattern of another regular-expression library means, through PCRE2. Expected cuts are those of tokenizers 0.23
// (Oniguruma) and of tiktoken 0.14 (Rust).
#include "src/tokenizer/regex_dialect.h"

#include <gtest/gtest.h>

#include "src/core/error.h"
#include "src/tokenizer/pattern.h"

namespace lmbits {
namespace {

using Strings = std::vector<std::string>;
constexpr auto kOniguruma = RegexDialect::kOniguruma, kRust = RegexDialect::kRust;

Strings cut(const std::string& pattern, RegexDialect dialect, std::string_view text) {
  const PatternSplitter splitter(pattern, dialect);
  Strings words;
  std::vector<std::uint32_t> lengths(8);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = splitter.split(text, at, lengths);
    for (std::size_t i = 0; i < n; at += lengths[i++]) words.emplace_back(text.substr(at, lengths[i]));
  }
  return words;
}

TEST(RegexDialect, WordsAreMoreThanPcre2Has) {
  // A combining mark, an underscore-like connector and a circled letter belong to words.
  EXPECT_EQ(cut(R"(\w+)", kOniguruma, "e\xCC\x81 a\xE2\x80\xBF\x62 \xE2\x93\x90-"),
            (Strings{"e\xCC\x81", " ", "a\xE2\x80\xBF\x62", " ", "\xE2\x93\x90", "-"}));
  EXPECT_EQ(cut(R"(\w+)", kRust, "e\xCC\x81 \xC2\xBD"), (Strings{"e\xCC\x81", " \xC2\xBD"}));
  EXPECT_EQ(cut(R"(\w+)", kOniguruma, "e \xC2\xBD"), (Strings{"e", " ", "\xC2\xBD"}));  // Latin-1's fractions are
  EXPECT_EQ(cut(R"([\w]+)", kOniguruma, "e\xC2\xBD"), (Strings{"e", "\xC2\xBD"}));      // but not within a class
  EXPECT_EQ(cut(R"(\b)", kOniguruma, "e\xCC\x81z !"), (Strings{"e\xCC\x81z", " !"}));
}

TEST(RegexDialect, AnchorsAreThoseOfALineInOniguruma) {
  EXPECT_EQ(cut(R"(^a)", kOniguruma, "ab\nab"), (Strings{"a", "b\n", "a", "b"}));
  EXPECT_EQ(cut(R"(^a)", kRust, "ab\nab"), (Strings{"a", "b\nab"}));
  EXPECT_EQ(cut(R"(b$)", kOniguruma, "ab\nab\n"), (Strings{"a", "b", "\na", "b", "\n"}));
  EXPECT_EQ(cut(R"(b$)", kRust, "ab\n"), (Strings{"ab\n"}));  // PCRE2's own $ stands before a last line end, too
  EXPECT_EQ(cut(R"((?m:a.b))", kOniguruma, "a\nb"), (Strings{"a\nb"}));
}

TEST(RegexDialect, ClassesHoldClasses) {
  EXPECT_EQ(cut(R"( ?[^(\s|[.,!?])]+)", kOniguruma, "ab (c). d"), (Strings{"ab", " (", "c", ").", " d"}));
  EXPECT_EQ(cut(R"([a-z&&[^aeiou]]+)", kOniguruma, "banana"), (Strings{"b", "a", "n", "a", "n", "a"}));
  EXPECT_EQ(cut(R"([^a-z&&[^b]])", kRust, "ab."), (Strings{"a", "b", "."}));
  EXPECT_EQ(cut(R"([a-c[x-z]]+)", kRust, "axdz"), (Strings{"ax", "d", "z"}));
  EXPECT_EQ(cut(R"([\W&&[^\s]]+)", kOniguruma, "a.! b"), (Strings{"a", ".!", " b"}));
  EXPECT_EQ(cut(R"([[:punct:]]+)", kOniguruma, "a.$+b"), (Strings{"a", ".$+", "b"}));
  EXPECT_EQ(cut(R"(\h+)", kOniguruma, "xfg"), (Strings{"x", "f", "g"}));  // hexadecimal digits, not spaces
  EXPECT_EQ(cut(R"(ba{,2}c)", kOniguruma, "baac bc b{,2}"), (Strings{"baac", " ", "bc", " b{,2}"}));
}

TEST(RegexDialect, ARepetitionOfARepetitionIsOneInOniguruma) {
  EXPECT_EQ(cut(R"(\p{N}{1,3}+)", kOniguruma, "12345678"), (Strings{"12345678"}));
  EXPECT_EQ(cut(R"(\p{N}{1,3}+)", kRust, "12345678"), (Strings{"123", "456", "78"}));
  EXPECT_EQ(cut("(?:ab){2}+", kOniguruma, "ababababab"), (Strings{"abababab", "ab"}));
  EXPECT_EQ(cut("a{2}?", kOniguruma, "aaaaa"), (Strings{"aa", "aa", "a"}));
  EXPECT_EQ(cut("a{2}?b", kOniguruma, "xb"), (Strings{"x", "b"}));
  EXPECT_EQ(cut("[\xC3\xA9x]\xC3\xA9{2}+", kOniguruma, "x\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"),
            (Strings{"x\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"}));
}

TEST(RegexDialect, AnEmptyMatchCuts) {
  EXPECT_EQ(cut("(?=[A-Z])", kOniguruma, "AbCdE"), (Strings{"Ab", "Cd", "E"}));
  EXPECT_EQ(cut("x*", kOniguruma, "axxb"), (Strings{"a", "xx", "b"}));
}

TEST(RegexDialect, WhatCannotBeSpeltIsRefusedByName) {
  const std::vector<std::tuple<std::string, RegexDialect, std::string>> cases = {
      {R"((a)\1)", kOniguruma, R"(\1)"}, {"(?<n>a)", kRust, "(?<"},     {"[[:alpha:]]", kRust, "[:alpha:]"},
      {"[a--b]", kRust, "--"},           {R"(a\Q.\E)", kRust, R"(\Q)"}, {"a(?i)b", kOniguruma, "(?i)"},
      {"[abc", kRust, "[ without ]"},    {"a\\", kRust, "backslash"}};
  for (const auto& [pattern, dialect, name] : cases) {
    try {
      to_pcre2(pattern, dialect);
      ADD_FAILURE() << pattern << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
      EXPECT_FALSE(e.hint().empty());
    }
  }
}

}  // namespace
}  // namespace lmbits
