#include "src/report/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "src/core/json.h"

namespace lmbits {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Table sample() {
  Table table;
  table.columns = {{.key = "name", .title = "model", .align = Align::kLeft},
                   {.key = "value", .title = "bits"},
                   {.key = "interval", .title = "[95 %]", .interval = true, .joined = true},
                   {.key = "n", .title = "n"},
                   {.key = "tied", .title = "tied", .audience = Audience::kMachines}};
  table.rows = {{{std::string("small"), 1.5, Interval{1.25, 1.75}, std::int64_t{12}, true}, Emphasis::kStrong},
                {{std::string("日本語モデル"), 10.0, Cell(), std::int64_t{3}, false}, Emphasis::kNone},
                {{std::string("e\xCC\x81"), NAN, Interval{0.0, INFINITY}, Cell(), Cell()}, Emphasis::kFaint}};
  return table;
}

TEST(Table, TextAlignsByTerminalCellsWhateverTheScript) {
  const auto lines = lines_of(to_text(sample(), {.width = 100, .color = false}));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "model                      bits [95 %]   n");
  EXPECT_EQ(lines[1], "small          1.5000 [1.2500, 1.7500]  12");
  for (const std::string& line : lines) EXPECT_EQ(display_width(line), display_width(lines[1])) << line;
}

TEST(Table, TextWidthIsThatOfItsLines) {
  for (const std::string& line : lines_of(to_text(sample(), {}))) EXPECT_EQ(display_width(line), text_width(sample()));
}

TEST(Table, NamesAreShortenedInTheMiddleToKeepToTheWidth) {
  Table table = sample();
  table.rows[0].cells[0] = std::string("a-rather-long-run/checkpoint-012000");
  table.rows[1].cells[0] = std::string("とても長い名前のモデル012000");
  for (std::size_t width = 45; width <= 60; ++width) {
    const auto lines = lines_of(to_text(table, {.width = width, .color = false}));
    for (const std::string& line : lines) EXPECT_LE(display_width(line), width) << line;
    EXPECT_NE(lines[1].find("…"), std::string::npos);
    EXPECT_NE(lines[1].find("000 "), std::string::npos) << "the end tells checkpoints apart";
  }
}

TEST(Table, UndefinedIsADashAnEmptyFieldOrNull) {
  EXPECT_NE(to_text(sample(), {}).find("—"), std::string::npos);
  const auto csv = lines_of(to_csv(sample()));
  EXPECT_EQ(csv[0], "name,value,interval_lo,interval_hi,n,tied");
  EXPECT_EQ(csv[1], "small,1.5,1.25,1.75,12,true");
  EXPECT_EQ(csv[3], "e\xCC\x81,,,,,");
  const Json json = to_json(sample());
  EXPECT_EQ(json[0]["interval"], Json::array({1.25, 1.75}));
  EXPECT_TRUE(json[1]["interval"].is_null());
  EXPECT_TRUE(json[2]["value"].is_null());
  EXPECT_TRUE(json[2]["interval"].is_null());
  EXPECT_TRUE(json[2]["tied"].is_null());
}

TEST(Table, MachinesGetNumbersInFullAndPeopleRounded) {
  Table table{{{.key = "x", .title = "x", .decimals = 2}}, {{{1.0 / 3.0}, Emphasis::kNone}}};
  EXPECT_EQ(lines_of(to_text(table, {}))[1], "0.33");
  EXPECT_EQ(std::stod(lines_of(to_csv(table))[1]), 1.0 / 3.0);
}

TEST(Table, CsvQuotesWhatNeedsIt) {
  Table table{{{.key = "a,b", .title = "x"}}, {{{std::string("say \"hi\", you")}, Emphasis::kNone}}};
  EXPECT_EQ(to_csv(table), "\"a,b\"\n\"say \"\"hi\"\", you\"\n");
}

TEST(Table, MarkdownHasAsManyCellsInEveryLine) {
  Table table = sample();
  table.rows[0].cells[0] = std::string("a|b*c");
  const auto lines = lines_of(to_markdown(table));
  EXPECT_EQ(lines[1], "| --- | ---: | ---: | ---: |");
  EXPECT_EQ(lines[2], "| **a\\|b\\*c** | **1.5000** | **\\[1.2500, 1.7500]** | **12** |");
}

TEST(Table, ControlCharactersAndBrokenUtf8CannotReachTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\nc"),
            "a\xEF\xBF\xBD[31mb\xEF\xBF\xBD"
            "c");
  EXPECT_EQ(printable("\xff\xc3"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(printable("\xC2\x9B"), "\xEF\xBF\xBD");                              // CSI as one code point
  EXPECT_EQ(printable("\xE2\x80\xAE"), "\xEF\xBF\xBD");                          // right-to-left override
  EXPECT_EQ(printable("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  EXPECT_EQ(printable("naïve 日本 🙂"), "naïve 日本 🙂");
}

TEST(Table, WithoutColorThereAreNoEscapes) {
  EXPECT_EQ(to_text(sample(), {.color = false}).find('\x1b'), std::string::npos);
  EXPECT_NE(to_text(sample(), {.color = true}).find("\x1b[1msmall"), std::string::npos);
}

TEST(FormatFixed, HasNoNegativeZero) {
  EXPECT_EQ(format_fixed(-0.00001, 4), "0.0000");
  EXPECT_EQ(format_fixed(-0.00001, 4, true), "+0.0000");
  EXPECT_EQ(format_fixed(-0.5, 1, true), "-0.5");
  EXPECT_EQ(format_fixed(NAN, 4), "—");
}

TEST(DisplayWidth, CountsTerminalCells) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\xCC\x81"), 1u);
  EXPECT_EQ(display_width("🙂"), 2u);
  EXPECT_EQ(display_width("├●─┤≈…—"), 7u);
}

}  // namespace
}  // namespace lmbits
