#include "src/report/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/short_name.h"

namespace lmbits {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::string_view kUndefined = "—";
constexpr std::size_t kGap = 2, kJoinedGap = 1, kNarrowest = 8;

// Takes the first code point off `rest`; U+FFFD, and one byte, where it does not start with well-formed UTF-8.
char32_t take_code_point(std::string_view& rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  char32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
  bool valid = length > 0 && length <= rest.size() && lead < 0xF5;
  for (std::size_t i = 1; valid && i < length; ++i) {
    valid = (byte(i) & 0xC0) == 0x80;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  valid = valid && !overlong && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  rest.remove_prefix(valid ? length : 1);
  return valid ? code : kReplacement;
}

struct Range {
  char32_t first, last;
};

template <std::size_t N>
bool is_in(char32_t code, const Range (&ranges)[N]) {
  return std::any_of(std::begin(ranges), std::end(ranges), [&](Range r) { return r.first <= code && code <= r.last; });
}

std::size_t width_of(char32_t code) {
  static constexpr Range kZero[] = {
      {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x064B, 0x065F}, {0x093C, 0x093C},   {0x094D, 0x094D},
      {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200D},   {0x20D0, 0x20FF},
      {0x2060, 0x2060}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF}, {0xE0100, 0xE01EF}};
  static constexpr Range kTwo[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},
                                   {0x26A1, 0x26A1},   {0x2705, 0x2705},   {0x2728, 0x2728},   {0x274C, 0x274C},
                                   {0x2753, 0x2757},   {0x2795, 0x2797},   {0x2B50, 0x2B50},   {0x2E80, 0x303E},
                                   {0x3041, 0xA4CF},   {0xA960, 0xA97C},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
                                   {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},   {0x16FE0, 0x18AFF},
                                   {0x1B000, 0x1B2FF}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF},
                                   {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD}};
  return is_in(code, kZero) ? 0 : is_in(code, kTwo) ? 2 : 1;
}

// Moves the cursor, starts an escape sequence or turns the writing direction round.
bool is_unsafe(char32_t code) {
  static constexpr Range kUnsafe[] = {{0x00, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x202E}, {0x2066, 0x2069}};
  return is_in(code, kUnsafe);
}

bool is_finite(const Interval& x) { return std::isfinite(x.lo) && std::isfinite(x.hi); }

Json cell_json(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return printable(*text);  // JSON must be UTF-8
  if (const auto* flag = std::get_if<bool>(&cell)) return *flag;
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return *integer;
  if (const auto* number = std::get_if<double>(&cell); number != nullptr && std::isfinite(*number)) return *number;
  if (const auto* interval = std::get_if<Interval>(&cell); interval != nullptr && is_finite(*interval)) {
    return Json::array({interval->lo, interval->hi});
  }
  return nullptr;
}

// What people see, as strings: the header, then the rows.
struct Grid {
  std::vector<Align> align;
  std::vector<std::size_t> gap;  // before each column, in spaces
  std::vector<std::vector<std::string>> lines;
  std::vector<std::size_t> width;  // of each column
};

Grid grid_of(const Table& table) {
  Grid grid;
  grid.lines.resize(table.rows.size() + 1);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& column = table.columns[c];
    if (!is_for(Audience::kPeople, column)) continue;
    grid.align.push_back(column.align);
    grid.gap.push_back(grid.gap.empty() ? 0 : column.joined ? kJoinedGap : kGap);
    grid.lines[0].push_back(printable(column.title));
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      LMBITS_CHECK(table.rows[r].cells.size() == table.columns.size());
      grid.lines[r + 1].push_back(cell_text(table.rows[r].cells[c], column));
    }
    std::size_t width = 0;
    for (const auto& line : grid.lines) width = std::max(width, display_width(line.back()));
    grid.width.push_back(width);
  }
  return grid;
}

// A joined column's heading is its own and the one before, over both columns.
void join_headings(const Table& table, Grid& grid) {
  std::size_t c = 0;  // among those that people see
  for (const TableColumn& column : table.columns) {
    if (!is_for(Audience::kPeople, column)) continue;
    if (column.joined && c > 0) {
      std::string& heading = grid.lines[0][c];
      heading = grid.lines[0][c - 1] + " " + heading;
      grid.lines[0][c - 1].clear();
      for (const std::size_t i : {c - 1, c}) {
        grid.width[i] = 0;
        for (std::size_t r = 1; r < grid.lines.size(); ++r)
          grid.width[i] = std::max(grid.width[i], display_width(grid.lines[r][i]));
      }
      const std::size_t both = grid.width[c - 1] + grid.gap[c] + grid.width[c];
      if (display_width(heading) > both) grid.width[c - 1] += display_width(heading) - both;
    }
    ++c;
  }
}

std::size_t total_width(const Grid& grid) {
  std::size_t total = 0;
  for (std::size_t c = 0; c < grid.width.size(); ++c) total += grid.gap[c] + grid.width[c];
  return total;
}

void shorten_first_left_column(Grid& grid, std::size_t limit) {
  const std::size_t total = total_width(grid);
  const auto left = std::find(grid.align.begin(), grid.align.end(), Align::kLeft);
  if (total <= limit || left == grid.align.end()) return;
  const auto c = static_cast<std::size_t>(left - grid.align.begin());
  const std::size_t excess = total - limit, width = grid.width[c];
  const std::size_t narrowed = std::min(width, std::max(kNarrowest, width > excess ? width - excess : 0));
  for (auto& line : grid.lines) line[c] = shortened(line[c], narrowed);
  grid.width[c] = narrowed;
}

// A right-aligned cell may reach into the column before, where that is empty: a joined heading does.
std::string line_text(const Grid& grid, const std::vector<std::string>& cells) {
  std::string line;
  std::size_t used = 0, end = 0;  // terminal cells written, and where column c ends
  for (std::size_t c = 0; c < cells.size(); ++c) {
    const std::size_t begin = end + grid.gap[c], width = display_width(cells[c]);
    end = begin + grid.width[c];
    if (cells[c].empty()) continue;
    const std::size_t at = grid.align[c] == Align::kLeft ? begin : end - std::min(end, width);
    line += std::string(at - std::min(at, used), ' ') + cells[c];
    used = std::max(at, used) + width;
  }
  return line;
}

std::string emphasised(const std::string& line, Emphasis emphasis, bool color) {
  if (!color || emphasis == Emphasis::kNone) return line;
  return (emphasis == Emphasis::kStrong ? "\x1b[1m" : "\x1b[2m") + line + "\x1b[0m";
}

std::string csv_scalar(const Json& value) {
  return value.is_string() ? csv_cell(value.get<std::string>()) : value.dump();
}

}  // namespace

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const std::size_t head_width = (width - 1) / 2;
  std::string_view rest = text;
  std::size_t head = 0;
  while (display_width(text.substr(0, text.size() - rest.size())) <= head_width) {
    head = text.size() - rest.size();
    take_code_point(rest);
  }
  std::string_view tail = text.substr(head);
  while (display_width(tail) > width - 1 - display_width(text.substr(0, head))) take_code_point(tail);
  return std::string(text.substr(0, head)) + "…" + std::string(tail);
}

std::string cell_text(const Cell& cell, const TableColumn& column) {
  if (const auto* text = std::get_if<std::string>(&cell)) return printable(*text);
  if (const auto* flag = std::get_if<bool>(&cell)) return *flag ? "yes" : "no";
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&cell)) return format_fixed(*number, column.decimals, column.sign);
  if (const auto* interval = std::get_if<Interval>(&cell); interval != nullptr && is_finite(*interval)) {
    return "[" + format_fixed(interval->lo, column.decimals, column.sign) + ", " +
           format_fixed(interval->hi, column.decimals, column.sign) + "]";
  }
  return std::string(kUndefined);
}

bool is_for(Audience audience, const TableColumn& column) {
  return column.audience == audience || column.audience == Audience::kAll;
}

std::string format_fixed(double value, int decimals, bool sign) {
  if (!std::isfinite(value)) return std::string(kUndefined);
  char buffer[512];  // the largest double has 309 digits
  std::snprintf(buffer, sizeof buffer, sign ? "%+.*f" : "%.*f", decimals, value);
  std::string text = buffer;
  if (text[0] == '-' && text.find_first_of("123456789") == std::string::npos) text = (sign ? "+" : "") + text.substr(1);
  return text;
}

std::string printable(std::string_view text) {
  std::string safe;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view before = rest;
    const char32_t code = take_code_point(rest);
    safe += code == kReplacement || is_unsafe(code) ? std::string_view("\xEF\xBF\xBD")
                                                    : before.substr(0, before.size() - rest.size());
  }
  return safe;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) width += width_of(take_code_point(text));
  return width;
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string lines;
  std::size_t used = 0;  // terminal cells of the last line
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin + 1), text.size());  // a word and the space before it
    std::string_view word = text.substr(begin, end - begin);
    const std::size_t cells = display_width(word);
    if (used + cells > width && used > indent) {
      lines += "\n" + std::string(indent, ' ');
      used = indent;
      if (word.starts_with(' ')) word.remove_prefix(1);
    }
    lines += word;
    used += display_width(word);
    begin = end;
  }
  return lines + "\n";
}

std::size_t text_width(const Table& table) {
  Grid grid = grid_of(table);
  join_headings(table, grid);
  return total_width(grid);
}

std::string to_text(const Table& table, const TextStyle& style) {
  Grid grid = grid_of(table);
  join_headings(table, grid);
  shorten_first_left_column(grid, style.width);
  std::string text = emphasised(line_text(grid, grid.lines[0]), Emphasis::kFaint, style.color) + "\n";
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    text += emphasised(line_text(grid, grid.lines[r + 1]), table.rows[r].emphasis, style.color) + "\n";
  }
  return text;
}

std::string to_markdown(const Table& table) {
  const Grid grid = grid_of(table);
  std::string text;
  for (std::size_t r = 0; r < grid.lines.size(); ++r) {
    const bool strong = r > 0 && table.rows[r - 1].emphasis == Emphasis::kStrong;
    text += "|";
    for (const std::string& cell : grid.lines[r]) {
      std::string escaped;
      for (const char c : cell)
        escaped += std::string("|*_`<\\[").find(c) == std::string::npos ? std::string(1, c) : std::string("\\") + c;
      text += strong && !escaped.empty() ? " **" + escaped + "** |" : " " + escaped + " |";
    }
    text += "\n";
    if (r > 0) continue;
    text += "|";
    for (const Align align : grid.align) text += align == Align::kLeft ? " --- |" : " ---: |";
    text += "\n";
  }
  return text;
}

std::string to_csv(const Table& table) {
  std::string text;
  for (const TableColumn& column : table.columns) {
    if (!is_for(Audience::kMachines, column)) continue;
    text += column.interval ? csv_cell(column.key + "_lo") + "," + csv_cell(column.key + "_hi") : csv_cell(column.key);
    text += ",";
  }
  for (std::size_t r = 0; r <= table.rows.size(); ++r) {
    if (!text.empty()) text.back() = '\n';  // in the place of the last comma
    for (std::size_t c = 0; r < table.rows.size() && c < table.columns.size(); ++c) {
      if (!is_for(Audience::kMachines, table.columns[c])) continue;
      const Json value = cell_json(table.rows[r].cells[c]);
      const std::string undefined = table.columns[c].interval ? "," : "";
      text += value.is_null()    ? undefined
              : value.is_array() ? csv_scalar(value[0]) + "," + csv_scalar(value[1])
                                 : csv_scalar(value);
      text += ",";
    }
  }
  return text;
}

Json to_json(const Table& table) {
  Json rows = Json::array();
  for (const TableRow& row : table.rows) {
    Json object = Json::object();
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (is_for(Audience::kMachines, table.columns[c])) object[table.columns[c].key] = cell_json(row.cells[c]);
    }
    rows.push_back(object);
  }
  return rows;
}

}  // namespace lmbits
