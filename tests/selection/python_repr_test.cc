#include "src/selection/python_repr.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include "src/core/error.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

// What `python3 -c program` prints; empty where there is none.
std::string python(const std::string& program) {
  const std::string command = "PYTHONIOENCODING=utf-8 python3 -c '" + program + "' 2>/dev/null";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string output;
  char buffer[1 << 16];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  ::pclose(pipe);
  return output;
}

// The Unicode version of the machine's Python 3; 0 where repr() of that Python is not known, or there is none.
int python_unicode() {
  const std::string version = python("import sys; print(\"%d.%d\" % sys.version_info[:2], end=\"\")");
  try {
    return unicode_version_of_python(version);
  } catch (const Error&) {
    return 0;
  }
}

std::string repr(const std::string& json) { return python_repr_of_json(json, 140); }

TEST(PythonRepr, IsPythonsForEveryCodePoint) {
  const int unicode = python_unicode();
  if (unicode == 0) GTEST_SKIP() << "no python3 whose repr() is known";
  const std::string expected =
      python("import sys; sys.stdout.write(\"\\n\".join(map(repr, map(chr, range(0x110000)))))");
  std::string ours;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c > 0) ours += '\n';
    ours += python_repr(std::u32string(1, c), unicode);
  }
  ASSERT_EQ(ours.size(), expected.size());
  EXPECT_TRUE(ours == expected);
}

// Quotes and escapes interact: all strings of up to four of the characters that matter.
TEST(PythonRepr, IsPythonsForEveryMixtureOfQuotesAndEscapes) {
  const int unicode = python_unicode();
  if (unicode == 0) GTEST_SKIP() << "no python3 whose repr() is known";
  const std::string expected = python(
      "import itertools, sys; A = [39, 34, 92, 10, 9, 13, 0, 127, 97, 0xa0, 0xd800, 0xdc00, 0x1f600, 0xe000];"
      "sys.stdout.write(\"\\n\".join(repr(\"\".join(map(chr, s))) for n in range(5) for s in itertools.product(A, "
      "repeat=n)))");
  const std::u32string alphabet = {39, 34, 92, 10, 9, 13, 0, 127, 97, 0xa0, 0xd800, 0xdc00, 0x1f600, 0xe000};
  std::string ours = "''";
  for (std::size_t n = 1; n < 5; ++n) {
    std::size_t n_strings = 1;
    for (std::size_t i = 0; i < n; ++i) n_strings *= alphabet.size();
    for (std::size_t k = 0; k < n_strings; ++k) {
      std::u32string text(n, U'\0');
      for (std::size_t i = n, rest = k; i-- > 0; rest /= alphabet.size()) text[i] = alphabet[rest % alphabet.size()];
      ours += '\n' + python_repr(text, unicode);
    }
  }
  EXPECT_TRUE(ours == expected);
}

TEST(PythonRepr, FloatsAreTheShortestThatReadBackInPythonsLayout) {
  const int unicode = python_unicode();
  if (unicode == 0) GTEST_SKIP() << "no python3 whose repr() is known";
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "numbers.json").string();
  std::string json =
      "[0.0, -0.0, 1e16, 1e15, 9999999999999998.0, 123456789012345680.0, 1e-4, 0.00001, 1e22, 1e23, 5e-324, 1e999,"
      " -1e999, 1e-999, 2.5E+3, 0.1e-3, 1.7976931348623157e308, 100.0, 1.0e1, 12345678.9, NaN, Infinity, -Infinity";
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    char text[64];
    std::snprintf(text, sizeof text, ", %.*e", static_cast<int>(random() % 20),
                  std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 160));
    json += text;
  }
  json += "]";
  std::ofstream(path) << json;
  EXPECT_EQ(python_repr_of_json(json, unicode),
            python("import json; print(json.load(open(\"" + path + "\")), end=\"\")"));
}

TEST(PythonRepr, ContainersAndConstantsAreWrittenAsPythonDoes) {
  EXPECT_EQ(repr(" {\"a\" : [1, true, false, null, {}, []], \"b\": {\"c\": \"d\"}} "),
            "{'a': [1, True, False, None, {}, []], 'b': {'c': 'd'}}");
  EXPECT_EQ(repr("123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(repr("-0"), "0");
  EXPECT_EQ(repr("\"it's\""), "\"it's\"");
  EXPECT_EQ(repr("\"\\u0041\\/\\b\\f\""), "'A/\\x08\\x0c'");
}

TEST(PythonRepr, TheLastOfEqualKeysGivesTheValueAndTheFirstThePlace) {
  EXPECT_EQ(repr(R"({"a": 1, "b": 2, "\u0061": 3})"), "{'a': 3, 'b': 2}");
}

TEST(PythonRepr, SurrogatesPairUpOrStandAlone) {
  EXPECT_EQ(repr(R"("\ud83d\ude00")"), "'\xF0\x9F\x98\x80'");
  EXPECT_EQ(repr(R"("\ud83d")"), "'\\ud83d'");
  EXPECT_EQ(repr(R"("\ude00\ud83d")"), "'\\ude00\\ud83d'");
  EXPECT_EQ(repr(R"("\ud83d\u0041\ud83d\ud83d\ude00")"), "'\\ud83dA\\ud83d\xF0\x9F\x98\x80'");
  EXPECT_EQ(repr(R"("\u008b\udc79\udba8\ude84")"), "'\\x8b\\udc79\\U000fa284'");
}

TEST(PythonRepr, UnicodeVersionsDifferInWhatIsPrintable) {
  EXPECT_EQ(python_repr(U"\U0001FAE8", 140), "'\\U0001fae8'");  // shaking face: Unicode 15.0
  EXPECT_EQ(python_repr(U"\U0001FAE8", 150), "'\xF0\x9F\xAB\xA8'");
}

TEST(PythonRepr, RefusesWhatPythonRefuses) {
  for (const char* json : {"",    "{",     "[1,]",      "{\"a\":1,}", "{'a':1}",          "01",          "1.",
                           "+1",  ".5",    "\"\t\"",    "\"\\x41\"",  "\"\\u12g4\"",      "\"\\u+123\"", "\"abc",
                           "tru", "[1] 2", "{\"a\" 1}", "\"\xFF\"",   "\"\xED\xA0\x80\"", "1e",          "-",
                           "nan"}) {
    EXPECT_THROW(repr(json), Error) << json;
  }
  EXPECT_THROW(repr(std::string(2000, '[')), Error);
}

}  // namespace
}  // namespace lmbits
