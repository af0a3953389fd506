// A small table of typed cells, and its four renderings.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/stats/bootstrap.h"

namespace lmbits {

enum class Align { kLeft, kRight };
enum class Audience { kAll, kPeople, kMachines, kNone };  // people read text and markdown, machines CSV and JSON

struct TableColumn {
  std::string key;    // CSV and JSON
  std::string title;  // text and markdown
  Align align = Align::kRight;
  int decimals = 4;   // of numbers in text and markdown; CSV and JSON have them in full
  bool sign = false;  // + before numbers that are not negative
  Audience audience = Audience::kAll;
  bool interval = false;  // its cells are intervals, where they are defined
  bool joined = false;    // text: belongs to the column before, and shares its heading
};

// Undefined (also a number that is not finite) is "—" in text and markdown, empty in CSV, null in JSON.
using Cell = std::variant<std::monostate, bool, std::string, std::int64_t, double, Interval>;

template <typename T>
Cell cell_of(const std::optional<T>& value) {
  if (!value) return std::monostate{};
  return *value;
}

enum class Emphasis { kNone, kStrong, kFaint };

struct TableRow {
  std::vector<Cell> cells;  // one a column
  Emphasis emphasis = Emphasis::kNone;
};

struct Table {
  std::vector<TableColumn> columns;
  std::vector<TableRow> rows;
};

struct TextStyle {
  std::size_t width = 100;  // terminal cells; the first left-aligned column is shortened to keep to it
  bool color = false;       // ANSI escapes for Emphasis
};

// Every line ends in a newline. Control characters and bytes that are not UTF-8 come out as U+FFFD.
std::string to_text(const Table& table, const TextStyle& style);
std::string to_markdown(const Table& table);  // GitHub's tables
std::string to_csv(const Table& table);       // RFC 4180, lines end in \n; an interval is two fields, KEY_lo and KEY_hi
Json to_json(const Table& table);             // an array of objects; an interval is [lo, hi]

// A cell as text and markdown show it.
std::string cell_text(const Cell& cell, const TableColumn& column);
bool is_for(Audience audience, const TableColumn& column);  // does this audience see the column?

// The width of the widest row as `to_text` would draw it without a limit, in terminal cells.
std::size_t text_width(const Table& table);

// Terminal cells of a UTF-8 string: 0 for combining marks, 2 for East Asian wide characters and emoji (Unicode Standard
// Annex 11, blocks only: a character added to Unicode later may be off by one).
std::size_t display_width(std::string_view text);

std::string format_fixed(double value, int decimals, bool sign = false);

// `text` cut into lines of at most `width` terminal cells at its spaces, later lines indented; each ends in a newline.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

// An error message or label that is safe to print on a terminal: see to_text.
std::string printable(std::string_view text);

}  // namespace lmbits
