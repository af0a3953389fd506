#include "src/conventions/headline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace lmbits {
namespace {

std::string utf8(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
}

// The nats of a few tokens, as a program that sums nats would see them.
const std::vector<double> kNats = {0.1, 2.5, 7.25, 0.003, 1.0, 1.0, 4.5};

HeadlineSums sums_of(const std::vector<double>& nats) {
  HeadlineSums sums;
  for (const double nll : nats) {
    const double bits = nll / std::log(2.0);
    sums.bits += bits;
    sums.bits_squared += bits * bits;
  }
  sums.n_scored = static_cast<std::int64_t>(nats.size());
  return sums;
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double value(const Convention& c, const HeadlineSums& sums, const std::string& name) {
  for (const HeadlineNumber& number : headline(c, sums)) {
    if (number.name == name) return number.value.value();
  }
  ADD_FAILURE() << "no " << name;
  return NAN;
}

Convention named(const char* name) {
  Convention c;
  c.name = name;
  return c;
}

TEST(Headline, LmEvalAgreesWithItsFormulasInNats) {
  HeadlineSums sums = sums_of(kNats);
  sums.n_bytes = 31;
  sums.n_words = 5;
  const double log_likelihood = -sum(kNats);
  const Convention c = named("lm-eval");
  EXPECT_DOUBLE_EQ(value(c, sums, "bits_per_byte"), -log_likelihood / 31 / std::log(2.0));
  EXPECT_DOUBLE_EQ(value(c, sums, "byte_perplexity"), std::exp(-log_likelihood / 31));
  EXPECT_DOUBLE_EQ(value(c, sums, "word_perplexity"), std::exp(-log_likelihood / 5));
  EXPECT_DOUBLE_EQ(std::exp2(value(c, sums, "bits_per_byte")), value(c, sums, "byte_perplexity"));
}

TEST(Headline, HkustDividesByAllCharacters) {
  HeadlineSums sums = sums_of(kNats);
  sums.n_bytes = 31;
  sums.n_chars = 29;
  EXPECT_DOUBLE_EQ(value(named("hkust"), sums, "bits_per_char"), sum(kNats) / (29 * std::log(2.0)));
}

TEST(Headline, LlamaPplAgreesWithItsFormulasInNats) {
  const auto count = static_cast<double>(kNats.size());
  double squares = 0;
  for (const double nll : kNats) squares += nll * nll;
  const double mean = sum(kNats) / count;
  const double relative = std::sqrt((squares / count - mean * mean) / (count - 1));
  const HeadlineSums sums = sums_of(kNats);
  EXPECT_NEAR(value(named("llama-ppl"), sums, "perplexity"), std::exp(mean), 1e-12);
  EXPECT_NEAR(value(named("llama-ppl"), sums, "perplexity_standard_error"), relative * std::exp(mean), 1e-12);
}

TEST(Headline, TheErrorOfEqualTokensIsZeroAndNeverNaN) {
  for (int n = 2; n < 200; ++n) {
    const std::vector<double> equal(static_cast<std::size_t>(n), 0.1 * n);
    const HeadlineSums sums = sums_of(equal);
    const double error = perplexity_standard_error(sums.bits, sums.bits_squared, n).value();
    ASSERT_GE(error, 0.0);
    ASSERT_LT(error, 1e-6 * std::exp(0.1 * n));
  }
}

TEST(Headline, GptqIsTheExponentialOfTheMeanOfWindowMeans) {
  const std::vector<std::vector<double>> windows = {{1, 2, 3}, {0.5, 0.25, 4}, {7, 1, 1}};  // L - 1 = 3 targets
  const double length = 4;
  double total = 0;
  std::vector<double> all;
  for (const auto& window : windows) {
    total += sum(window) / (length - 1) * length;
    all.insert(all.end(), window.begin(), window.end());
  }
  const double published = std::exp(total / (static_cast<double>(windows.size()) * length));
  EXPECT_NEAR(value(named("gptq"), sums_of(all), "perplexity"), published, 1e-12);
}

TEST(Headline, UncheatableIsARatioOfMeansOverDocuments) {
  const std::vector<double> nats = {120.0, 45.5, 800.25};  // of each document
  const std::vector<double> bytes = {100, 20, 900};
  const double published = (sum(nats) / 3) / (sum(bytes) / 3) / std::log(2.0);
  HeadlineSums sums = sums_of(nats);
  sums.n_bytes = 1020;
  EXPECT_DOUBLE_EQ(value(named("uncheatable"), sums, "bits_per_byte"), published);
  EXPECT_DOUBLE_EQ(value(named("uncheatable"), sums, "compression_rate_percent"), published / 8 * 100);
}

TEST(Headline, CategoriesCountAlike) {
  const std::vector<double> categories = {1.0, 2.0, 6.0};
  EXPECT_DOUBLE_EQ(mean_over_categories(categories).value(), 3.0);
  EXPECT_EQ(mean_over_categories({}), std::nullopt);
}

TEST(Headline, LmicAddsTwoBytesAParameter) {
  HeadlineSums sums;
  sums.bits = 8 * 250;
  sums.n_bytes = 1000;
  EXPECT_DOUBLE_EQ(value(named("lmic"), sums, "compression_rate_percent"), 25.0);
  EXPECT_EQ(headline(named("lmic"), sums).at(1).value, std::nullopt);  // parameters unknown
  sums.n_parameters = 400;
  EXPECT_DOUBLE_EQ(value(named("lmic"), sums, "adjusted_rate_percent"), 105.0);
}

TEST(Headline, IsUndefinedWhereNothingWasScored) {
  for (const std::string& name : convention_names()) {
    const std::vector<HeadlineNumber> numbers = headline(named(name.c_str()), {});
    ASSERT_FALSE(numbers.empty());
    for (const HeadlineNumber& number : numbers) EXPECT_EQ(number.value, std::nullopt) << name << " " << number.name;
  }
  EXPECT_EQ(perplexity_standard_error(3.0, 9.0, 1), std::nullopt);
}

TEST(CountWords, CountsPiecesAsPythonSplits) {
  const std::map<std::string, std::int64_t> pieces = {{"", 1},
                                                      {"a", 1},
                                                      {" ", 2},
                                                      {"a b", 2},
                                                      {" a", 2},
                                                      {"a ", 2},
                                                      {"a  b", 2},
                                                      {"a \n\t b c", 3},
                                                      {"\r\n", 2},
                                                      {"one two\n", 3},
                                                      {"a\xC2\xA0 b", 2},
                                                      {"a\x1C\xC2\x85", 2},
                                                      {"\xE3\x80\x80x\xE3\x80\x80", 3},
                                                      {"a\xE2\x80\x8B"
                                                       "b",
                                                       1}};  // U+200B is no white space  // U+200B is no white space
  for (const auto& [text, count] : pieces) EXPECT_EQ(count_words_like_python_split(text), count) << '"' << text << '"';
}

TEST(CountWords, SplitsAtExactlyThePythonWhiteSpace) {
  // [c for c in range(0x110000) if re.match(r"\s", chr(c))], Python 3.11
  const std::set<char32_t> white_space = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x1C,   0x1D,   0x1E,
                                          0x1F,   0x20,   0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002,
                                          0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A,
                                          0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::int64_t expected = white_space.contains(c) ? 2 : 1;
    ASSERT_EQ(count_words_like_python_split("a" + utf8(c) + "b"), expected) << "code point " << static_cast<long>(c);
    const std::size_t kept = white_space.contains(c) ? 1 : 1 + utf8(c).size();
    ASSERT_EQ(length_like_python_rstrip("a" + utf8(c) + " "), kept) << "code point " << static_cast<long>(c);
  }
}

TEST(CountWords, TakesBrokenUtf8AsNoWhiteSpace) {
  for (const char* text : {"\x85", "\xA0", "a\xC2", "a\xE2\x80", "a\xE3", "\x80\x80", "\xFF"}) {
    EXPECT_EQ(count_words_like_python_split(text), 1);
  }
  EXPECT_EQ(count_words_like_python_split("\xE2\xC2\x85"), 2);  // the cut character before U+0085 hides nothing
}

}  // namespace
}  // namespace lmbits
