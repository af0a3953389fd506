#include "src/report/token_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kFont = 11.5, kCell = 6.9, kLine = 17.0;  // px
constexpr std::size_t kColumns = 44;                       // characters of a line
constexpr double kMargin = 14.0, kGutter = 18.0, kHead = 46.0, kFoot = 46.0;
constexpr double kCommonShare = 0.98;  // of the bytes lie within the colours' scale

bool starts_code_point(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::string bytes_of(const ScoredText& side) {
  std::string bytes;
  for (const TokenBits& token : side.tokens) bytes += token.bytes;
  return bytes;
}

// Byte offsets after each token of the side, but not inside a code point.
std::vector<std::size_t> boundaries(const ScoredText& side, const std::string& text) {
  std::vector<std::size_t> ends;
  std::size_t end = 0;
  for (const TokenBits& token : side.tokens) {
    end += token.bytes.size();
    if (!token.bytes.empty() && (end == text.size() || starts_code_point(text[end]))) ends.push_back(end);
  }
  return ends;
}

// A side's bits between two offsets that are boundaries of its tokens. Tokens without bytes count for what follows.
std::vector<double> bits_between(const ScoredText& side, const std::vector<std::size_t>& ends) {
  std::vector<double> bits(ends.size());
  std::size_t piece = 0, at = 0;
  for (const TokenBits& token : side.tokens) {
    bits[std::min(piece, ends.size() - 1)] += token.bits;
    at += token.bytes.size();
    while (piece < ends.size() && at >= ends[piece]) ++piece;
  }
  return bits;
}

// What one panel shows: pieces, and the step of the colour scale of each.
struct Coloured {
  std::string text, tooltip;
  int step = 0;
};

struct Panel {
  std::string title, subtitle;
  const char* colours;             // the class prefix
  std::string scale_lo, scale_hi;  // what the first and the last colour stand for
  std::vector<Coloured> pieces;
};

double per_byte(const TextPiece& piece, double bits) { return bits / static_cast<double>(piece.text.size()); }

using Weighted = std::vector<std::pair<double, std::size_t>>;  // value, bytes

// The value that kCommonShare of the bytes do not exceed.
double common_top(Weighted value_and_bytes) {
  std::sort(value_and_bytes.begin(), value_and_bytes.end());
  std::size_t all = 0, below = 0;
  for (const auto& [value, n] : value_and_bytes) all += n;
  for (const auto& [value, n] : value_and_bytes) {
    below += n;
    if (static_cast<double>(below) >= kCommonShare * static_cast<double>(all)) return value > 0.0 ? value : 1.0;
  }
  return 1.0;
}

std::string number(double value, bool sign = false) { return format_fixed(value, 2, sign); }

// Line breaks and tabs as signs, so that what they cost is seen.
std::string shown(std::string_view text) {
  std::string visible;
  for (const char c : text)
    visible += c == '\n' ? std::string("↵") : c == '\t' ? "⇥" : c == '\r' ? "␍" : std::string(1, c);
  return printable(visible);
}

Panel side_panel(const ScoredText& side, const std::vector<TextPiece>& pieces, std::size_t n_bytes, double top) {
  const double total = std::accumulate(side.tokens.begin(), side.tokens.end(), 0.0,
                                       [](double sum, const TokenBits& t) { return sum + t.bits; });
  Panel panel{
      side.model,
      number(total / static_cast<double>(n_bytes)) + " bits/byte, " + std::to_string(side.tokens.size()) + " tokens",
      "heat-",
      "0",
      number(top) + "+ bits/byte",
      {}};
  for (const TextPiece& piece : pieces) {
    const double share = per_byte(piece, piece.bits[0]) / top;
    panel.pieces.push_back({piece.text,
                            "“" + shown(piece.text) + "” " + number(piece.bits[0]) + " bits, " +
                                number(per_byte(piece, piece.bits[0])) + " a byte",
                            std::clamp(static_cast<int>(share * kHeatSteps), 0, kHeatSteps - 1)});
  }
  return panel;
}

Panel difference_panel(const std::vector<ScoredText>& sides, const std::vector<TextPiece>& pieces, std::size_t n_bytes,
                       double top) {
  double total = 0.0;
  for (const TextPiece& piece : pieces) total += piece.bits[1] - piece.bits[0];
  Panel panel{"difference",
              number(total / static_cast<double>(n_bytes), true) + " bits/byte, second − first",
              "diff-",
              "−" + number(top),
              "+" + number(top) + " bits/byte",
              {}};
  for (const TextPiece& piece : pieces) {
    const double more = piece.bits[1] - piece.bits[0];
    const int half = kHeatSteps / 2;
    const int step = half + std::clamp(static_cast<int>(std::lround(per_byte(piece, more) / top * half)), -half, half);
    panel.pieces.push_back({piece.text,
                            "“" + shown(piece.text) + "” " + sides[0].model + " " + number(piece.bits[0]) + ", " +
                                sides[1].model + " " + number(piece.bits[1]) + " bits",
                            step});
  }
  return panel;
}

// One code point, or a sign for one that moves the cursor.
struct Character {
  std::string text;
  std::size_t cells;
  std::size_t piece;
  bool breaks;
};

using Line = std::vector<Character>;

std::size_t cells_of(const Line& line) {
  return std::accumulate(line.begin(), line.end(), std::size_t{0},
                         [](std::size_t sum, const Character& c) { return sum + c.cells; });
}

// The code points of the first `max_bytes`.
Line characters_of(const std::vector<Coloured>& pieces, std::size_t max_bytes) {
  Line characters;
  std::size_t n_bytes = 0;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const std::string& text = pieces[p].text;
    for (std::size_t i = 0; i < text.size() && n_bytes < max_bytes;) {
      std::size_t end = i + 1;
      while (end < text.size() && !starts_code_point(text[end])) ++end;
      const std::string raw = text.substr(i, end - i), visible = shown(raw);
      characters.push_back({visible, display_width(visible), p, raw == "\n"});
      n_bytes += end - i;
      i = end;
    }
  }
  return characters;
}

// Lines break after line breaks, and between words where a word reaches beyond the last column.
std::vector<Line> wrapped(const std::vector<Coloured>& pieces, std::size_t max_bytes) {
  std::vector<Line> lines(1);
  for (const Character& c : characters_of(pieces, max_bytes)) {
    if (cells_of(lines.back()) + c.cells > kColumns) {
      Line& full = lines.back();
      const auto space = std::find_if(full.rbegin(), full.rend(), [](const Character& x) { return x.text == " "; });
      const auto word = space == full.rend() ? full.end() : space.base();
      Line next(word, full.end());
      full.erase(word, full.end());
      lines.push_back(std::move(next));
    }
    lines.back().push_back(c);
    if (c.breaks) lines.emplace_back();
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

void draw_line(Drawing& drawing, Xy at, const Line& line, const Panel& panel) {
  std::string text;
  std::size_t column = 0;
  for (std::size_t i = 0; i < line.size();) {
    const std::size_t piece = line[i].piece, begin = column;
    for (; i < line.size() && line[i].piece == piece; ++i) column += line[i].cells;
    const Coloured& coloured = panel.pieces[piece];
    drawing.begin(coloured.tooltip);
    const double left = at.x + static_cast<double>(begin) * kCell;
    const double width = static_cast<double>(column - begin) * kCell;
    drawing.rectangle({left, at.y, left + width, at.y + kLine - 1}, panel.colours + std::to_string(coloured.step));
    drawing.end();
  }
  for (const Character& c : line) text += c.text;
  drawing.fixed_text({at.x, at.y + kLine * 0.72}, text, static_cast<double>(column) * kCell, kFont, "ink untouchable");
}

void draw_scale(Drawing& drawing, Xy at, const Panel& panel) {
  constexpr double kStep = 16.0, kHeight = 10.0;
  for (int i = 0; i < kHeatSteps; ++i) {
    const double x = at.x + i * kStep;
    drawing.rectangle({x, at.y, x + kStep, at.y + kHeight}, panel.colours + std::to_string(i));
  }
  const double right = at.x + kHeatSteps * kStep, baseline = at.y + kHeight + 12;
  drawing.rectangle({at.x, at.y, right, at.y + kHeight}, "axis");
  drawing.text({at.x, baseline}, panel.scale_lo, {9.5, Anchor::kStart, false, "muted"});
  drawing.text({right, baseline}, panel.scale_hi, {9.5, Anchor::kEnd, false, "muted"});
}

std::vector<Panel> panels_of(const std::vector<ScoredText>& sides) {
  const std::size_t n_bytes = bytes_of(sides[0]).size();
  const std::vector<TextPiece> common = common_pieces(sides);
  std::vector<std::vector<TextPiece>> own;
  Weighted costs, differences;
  for (const ScoredText& side : sides) {
    own.push_back(common_pieces({side}));
    for (const TextPiece& piece : own.back()) costs.emplace_back(per_byte(piece, piece.bits[0]), piece.text.size());
  }
  std::vector<Panel> panels;
  for (std::size_t i = 0; i < sides.size(); ++i)
    panels.push_back(side_panel(sides[i], own[i], n_bytes, common_top(costs)));
  if (sides.size() != 2) return panels;
  for (const TextPiece& piece : common)
    differences.emplace_back(std::abs(per_byte(piece, piece.bits[1] - piece.bits[0])), piece.text.size());
  panels.push_back(difference_panel(sides, common, n_bytes, common_top(differences)));
  return panels;
}

// From cheap to dear: 256-colour codes of a green-to-red background, a step for each two bits.
constexpr int kHeat[] = {22, 28, 64, 100, 136, 166, 160, 124};
constexpr double kHeatBits = 2.0;
constexpr std::string_view kPlain = "\x1b[0m";

std::string heat(double bits) {
  const double last = static_cast<double>(std::size(kHeat) - 1);
  const auto step = static_cast<std::size_t>(std::clamp(bits / kHeatBits, 0.0, last));
  return "\x1b[48;5;" + std::to_string(kHeat[step]) + ";38;5;231m";
}

}  // namespace

std::vector<TextPiece> common_pieces(const std::vector<ScoredText>& sides) {
  LMBITS_CHECK(!sides.empty());
  const std::string text = bytes_of(sides[0]);
  std::vector<std::size_t> ends = boundaries(sides[0], text);
  for (const ScoredText& side : sides) {
    if (bytes_of(side) != text) {
      throw Error(ErrorKind::kData,
                  "the tokens of " + side.model + " spell " + std::to_string(bytes_of(side).size()) +
                      " bytes, those of " + sides[0].model + " " + std::to_string(text.size()) + ", or other ones",
                  "score one text with both; a lossy tokenizer cannot be drawn");
    }
    const std::vector<std::size_t> own = boundaries(side, text);
    std::vector<std::size_t> common;
    std::set_intersection(ends.begin(), ends.end(), own.begin(), own.end(), std::back_inserter(common));
    ends = std::move(common);
  }
  if (ends.empty() || ends.back() != text.size())
    throw Error(ErrorKind::kData, "there is no text to draw", "give a text that is not empty");
  std::vector<TextPiece> pieces;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    pieces.push_back({text.substr(begin, end - begin), {}});
    begin = end;
  }
  for (const ScoredText& side : sides) {
    const std::vector<double> bits = bits_between(side, ends);
    for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i].bits.push_back(bits[i]);
  }
  return pieces;
}

Drawing draw_token_map(const std::vector<ScoredText>& sides, std::size_t max_bytes) {
  const std::vector<Panel> panels = panels_of(sides);
  const double panel_width = static_cast<double>(kColumns) * kCell;
  const std::vector<Line> first = wrapped(panels[0].pieces, max_bytes);
  const auto n_panels = static_cast<double>(panels.size()), n_lines = static_cast<double>(first.size());
  Drawing drawing(2 * kMargin + n_panels * panel_width + (n_panels - 1) * kGutter, kHead + n_lines * kLine + kFoot,
                  "Bits by token");
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const Panel& panel = panels[p];
    const double left = kMargin + static_cast<double>(p) * (panel_width + kGutter);
    drawing.text({left, 20}, panel.title, {12.5, Anchor::kStart, true});
    drawing.text({left, 36}, panel.subtitle, {10.5, Anchor::kStart, false, "muted"});
    double y = kHead;
    for (const Line& line : wrapped(panel.pieces, max_bytes)) {
      draw_line(drawing, {left, y}, line, panel);
      y += kLine;
    }
    draw_scale(drawing, {left, y + 12}, panel);
  }
  return drawing;
}

std::string heat_text(const ScoredText& side) {
  if (bytes_of(side).empty()) return "";
  std::string out;
  for (const TextPiece& piece : common_pieces({side})) {
    const std::string colour = heat(piece.bits[0]);
    std::string_view rest = piece.text;
    while (!rest.empty()) {
      const std::size_t n = std::min(rest.find('\n'), rest.size() - 1) + 1;  // up to a line break, and it
      out.append(colour).append(shown(rest.substr(0, n))).append(kPlain);
      if (rest[n - 1] == '\n') out += '\n';
      rest.remove_prefix(n);
    }
  }
  if (!out.ends_with('\n')) out += '\n';
  for (std::size_t i = 0; i < std::size(kHeat); ++i) {
    const double bits = kHeatBits * static_cast<double>(i);
    out.append(heat(bits)).append(" " + format_fixed(bits, 0) + "+ ").append(kPlain);
  }
  return out + " bits a token\n";
}

}  // namespace lmbits
