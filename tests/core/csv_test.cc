#include "src/core/csv.h"

#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::string refusal(const std::string& text) {
  try {
    const CsvTable table = parse_csv(text, "f.csv");
    for (const CsvRow& row : table.rows)
      for (std::size_t c = 0; c < row.cells.size(); ++c) csv_number(table, row, c);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_FALSE(e.hint().empty());
    return e.what();
  }
  return "";
}

TEST(Csv, ReadsWhatSpreadsheetsWrite) {
  const CsvTable table =
      parse_csv("\xEF\xBB\xBFmodel, a ,\"b,c\"\r\n\"x \"\"1\"\"\", 1.5 ,\"two\nlines\"\r\n\r\n y ,,2\r\n", "f.csv");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"model", "a", "b,c"}));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0].cells, (std::vector<std::string>{"x \"1\"", "1.5", "two\nlines"}));
  EXPECT_EQ(table.rows[1].cells, (std::vector<std::string>{"y", "", "2"}));
  EXPECT_EQ(table.rows[1].line, 5u);
  EXPECT_EQ(table.find("b,c"), 2u);
  EXPECT_FALSE(table.find("B,C"));
}

TEST(Csv, ReadsALastLineWithoutNewlineAndAHeaderAlone) {
  EXPECT_EQ(parse_csv("a,b\n1,2", "f").rows.size(), 1u);
  EXPECT_TRUE(parse_csv("a,b", "f").rows.empty());
}

TEST(Csv, NumbersAreNumbersOrSayThatThereIsNone) {
  const CsvTable table = parse_csv("a\n1e-3\n+2\n-\nN/A\nNaN\n\"\"\n", "f.csv");
  std::vector<std::optional<double>> numbers;
  for (const CsvRow& row : table.rows) numbers.push_back(csv_number(table, row, 0));
  EXPECT_EQ(numbers, (std::vector<std::optional<double>>{1e-3, 2.0, {}, {}, {}}));  // "" alone is an empty line
}

TEST(Csv, RefusesWithTheLineAndColumn) {
  EXPECT_EQ(refusal("a,b\n1,2\n1,2,3\n"), "f.csv, line 3 has 3 cells, the header 2");
  EXPECT_EQ(refusal("a,b\n1,\"2\n"), "f.csv, line 2: a quoted cell does not end");
  EXPECT_EQ(refusal("a,,c\n"), "f.csv: column 2 has no name");
  EXPECT_EQ(refusal("a,b,a\n"), "f.csv: two columns are named a");
  EXPECT_EQ(refusal("\n \n"), "f.csv is empty");
  EXPECT_EQ(refusal("a,b\n1,12%\n"), "f.csv, line 2, column b: \"12%\" is no number");
  EXPECT_EQ(refusal("a,b\n1,inf\n"), "f.csv, line 2, column b: \"inf\" is no number");
}

}  // namespace
}  // namespace lmbits
