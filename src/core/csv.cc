#include "src/core/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::string place(const CsvTable& table, std::size_t line) { return table.source + ", line " + std::to_string(line); }

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// Takes one record off `rest`, counting its newlines into `line`.
std::vector<std::string> take_record(std::string_view& rest, std::size_t& line, const CsvTable& table) {
  const std::size_t first_line = line;
  std::vector<std::string> cells(1);
  bool quoted = false, was_quoted = false;
  std::size_t i = 0;
  const auto end_cell = [&] {
    if (!was_quoted) cells.back() = trimmed(cells.back());
    was_quoted = false;
  };
  for (; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"')
        cells.back() += c;
      else if (i + 1 < rest.size() && rest[i + 1] == '"')
        cells.back() += rest[++i];
      else
        quoted = false;
    } else if (c == '"' && trimmed(cells.back()).empty() && !was_quoted) {
      cells.back().clear();
      quoted = was_quoted = true;
    } else if (c == ',') {
      end_cell();
      cells.emplace_back();
    } else if (c == '\n') {
      break;
    } else if (!was_quoted || (c != ' ' && c != '\t' && c != '\r')) {
      cells.back() += c;
    }
  }
  if (quoted)
    throw Error(ErrorKind::kData, place(table, first_line) + ": a quoted cell does not end", "close it with a \"");
  end_cell();
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return cells;
}

void check_columns(const CsvTable& table) {
  std::set<std::string> seen;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const std::string& name = table.columns[c];
    if (name.empty())
      throw Error(ErrorKind::kData, table.source + ": column " + std::to_string(c + 1) + " has no name",
                  "the first line names every column");
    if (!seen.insert(name).second)
      throw Error(ErrorKind::kData, table.source + ": two columns are named " + name, "rename or remove one of them");
  }
}

}  // namespace

std::optional<std::size_t> CsvTable::find(std::string_view column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

CsvTable parse_csv(std::string_view text, const std::string& source) {
  CsvTable table;
  table.source = source;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::size_t line = 1;
  while (!text.empty()) {
    const std::size_t first_line = line;
    std::vector<std::string> cells = take_record(text, line, table);
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (table.columns.empty()) {
      table.columns = std::move(cells);
      check_columns(table);
      continue;
    }
    if (cells.size() != table.columns.size())
      throw Error(ErrorKind::kData,
                  place(table, first_line) + " has " + std::to_string(cells.size()) + " cells, the header " +
                      std::to_string(table.columns.size()),
                  "cells with commas are quoted: \"a,b\"");
    table.rows.push_back({first_line, std::move(cells)});
  }
  if (table.columns.empty())
    throw Error(ErrorKind::kData, source + " is empty", "a CSV file starts with a line that names its columns");
  return table;
}

std::optional<double> csv_number(const CsvTable& table, const CsvRow& row, std::size_t column) {
  const std::string& cell = row.cells[column];
  std::string lower = cell;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  static const std::set<std::string> kUndefined = {"", "-", "--", "—", "n/a", "na", "nan", "null", "none"};
  if (kUndefined.count(lower) > 0) return std::nullopt;
  const char* begin = cell.data() + (cell[0] == '+' ? 1 : 0);
  const char* const end = cell.data() + cell.size();
  double value = 0.0;
  const auto [stop, failure] = std::from_chars(begin, end, value);
  if (failure != std::errc() || stop != end || !std::isfinite(value))
    throw Error(ErrorKind::kData,
                place(table, row.line) + ", column " + table.columns[column] + ": \"" + cell + "\" is no number",
                "write a number, or leave the cell empty");
  return value;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace lmbits
