// Comma-separated values with a header line (RFC 4180), read whole.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct CsvRow {
  std::size_t line = 0;            // of the file, from 1
  std::vector<std::string> cells;  // one a column, without spaces around them
};

struct CsvTable {
  std::string source;  // named in errors
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;

  std::optional<std::size_t> find(std::string_view column) const;
};

// Empty lines are skipped, and a byte order mark. Throws Error(kData) with file and line for a row with more or fewer
// cells than the header, a quote that does not end, a column without a name or two of one name, and no header at all.
CsvTable parse_csv(std::string_view text, const std::string& source);

// The number in a cell; nullopt where it says that there is none: empty, "-", "--", "—", "N/A", "NA", "nan", "null" or
// "none", in any case. Throws Error(kData) that names file, line and column for anything else.
std::optional<double> csv_number(const CsvTable& table, const CsvRow& row, std::size_t column);

// A cell to be written: quoted where it holds a comma, a quote or a line's end.
std::string csv_cell(const std::string& text);

}  // namespace lmbits
