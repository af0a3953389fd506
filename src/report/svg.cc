#include "src/report/svg.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "src/core/error.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

// Advance widths of DejaVu Sans 2.37 (table hmtx) from U+0020 to U+007E, in thousandths of the font size.
constexpr std::array<int, 95> kAdvance = {
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361,  318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635,  611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352,  635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592,  525, 636, 337, 636, 838};
constexpr double kOther = 0.84;  // of a mathematical sign; letters are narrower
constexpr double kWide = 1.0;    // of an East Asian character
constexpr double kBold = 1.12;   // the bold face's, relative
constexpr double kAscent = 0.93, kDescent = 0.24;

struct Colour {
  const char* name;
  const char* light;
  const char* dark;
};

// The series: hues in the order of Okabe and Ito's (jfly.uni-koeln.de/color, 2008), lightness and saturation searched for
// the largest least difference between two of them, to people who see all colours and to those who lack one kind of
// cones, at a contrast of 3 to the background. Points differ in shape as well, for prints without colour.
constexpr Colour kPalette[] = {
    {"surface", "#ffffff", "#14171b"},  {"ink", "#1b1b1b", "#e9eaec"},      {"muted", "#5a5e63", "#a6acb4"},
    {"faint", "#f4f5f6", "#1d2126"},    {"axis", "#8b9096", "#6b727b"},     {"grid", "#e4e6e8", "#2a2f36"},
    {"series-0", "#085ed1", "#1570ed"}, {"series-1", "#e77503", "#ec4c22"}, {"series-2", "#03986b", "#2fd786"},
    {"series-3", "#d466ac", "#db77c9"}, {"series-4", "#865609", "#fed93a"}, {"series-5", "#231f27", "#e5f4ff"},
    {"heat-0", "#ffffff", "#14171b"},   {"heat-1", "#fff3df", "#2b2113"},   {"heat-2", "#ffe5bd", "#422f14"},
    {"heat-3", "#ffd494", "#593c14"},   {"heat-4", "#ffbf6b", "#714713"},   {"heat-5", "#fca64f", "#884f12"},
    {"heat-6", "#f58d3f", "#955017"},   {"heat-7", "#e97537", "#a14d19"},   {"heat-8", "#dc6034", "#a9481e"},
    {"diff-0", "#4d9ccb", "#1f6f9f"},   {"diff-1", "#7db7da", "#1d587c"},   {"diff-2", "#add1e8", "#1b435c"},
    {"diff-3", "#d9e9f4", "#182d3d"},   {"diff-4", "#ffffff", "#14171b"},   {"diff-5", "#fde6d3", "#3a2717"},
    {"diff-6", "#fbcba4", "#5e3a1b"},   {"diff-7", "#f5aa71", "#84491c"},   {"diff-8", "#e98646", "#9c521c"},
};

bool is_series(const Colour& colour) { return std::string_view(colour.name).starts_with("series-"); }

// One declaration. Renderers that know no custom properties (librsvg 2.54) take the first value and skip the second.
std::string declared(const char* property, const Colour& colour, Look look) {
  const std::string plain = std::string(property) + ":" + (look == Look::kDark ? colour.dark : colour.light);
  const std::string custom = std::string(property) + ":var(--" + colour.name + ")";
  return look == Look::kInline ? custom : look == Look::kAdaptive ? plain + ";" + custom : plain;
}

std::string rule(const std::string& name, const std::string& declarations) {
  return ".drawing ." + name + "{" + declarations + "}\n";
}

std::string rules_of(const Colour& colour, Look look) {
  const std::string name = colour.name, fill = declared("fill", colour, look),
                    stroke = declared("stroke", colour, look) + ";fill:none";
  if (name == "axis" || name == "grid") return rule(name, stroke) + rule(name + "-fill", fill);
  if (is_series(colour)) {
    const std::string i = name.substr(name.size() - 1);
    return rule("fill-" + i, fill) + rule("line-" + i, stroke + ";stroke-width:2") +
           rule("band-" + i, fill + ";fill-opacity:.16");
  }
  std::string rules = rule(name, fill);
  if (name == "ink" || name == "muted") rules += rule(name + "-line", stroke + ";stroke-width:1.2");
  if (name == "ink") rules += rule("band-ink", fill + ";fill-opacity:.11");
  if (name == "surface") rules += rule("halo", declared("stroke", colour, look) + ";stroke-width:1");
  return rules;
}

std::string css_for(Look look) {
  std::string css =
      ".drawing{font-family:\"Helvetica Neue\",Helvetica,Arial,\"Liberation Sans\",\"DejaVu Sans\",sans-serif}\n";
  for (const Colour& colour : kPalette) css += rules_of(colour, look);
  return css + rule("dashed", "stroke-dasharray:6 4") +
         rule("dotted", "stroke-dasharray:1.5 3.5;stroke-linecap:round") + rule("thin", "stroke-width:.8") +
         rule("thick", "stroke-width:2.4") + rule("bold", "font-weight:bold") + rule("deep", "fill-opacity:.26") +
         rule("untouchable", "pointer-events:none") +
         rule("outlined",
              declared("stroke", kPalette[0], look) + ";stroke-width:3;stroke-linejoin:round;paint-order:stroke") +
         rule("fixed", "font-family:\"DejaVu Sans Mono\",\"Liberation Mono\",Menlo,Consolas,monospace;white-space:pre");
}

std::string properties(bool dark) {
  std::string text;
  for (const Colour& colour : kPalette)
    text += std::string("--") + colour.name + ":" + (dark ? colour.dark : colour.light) + ";";
  return text;
}

std::string attribute(std::string_view name, std::string_view value) {
  return value.empty() ? "" : " " + std::string(name) + "=\"" + escape_xml(value) + "\"";
}

std::string attribute(std::string_view name, double value) { return attribute(name, coordinate(value)); }

std::string list_of(const std::vector<Xy>& points) {
  std::string text;
  for (const Xy& p : points) text += (text.empty() ? "" : " ") + coordinate(p.x) + "," + coordinate(p.y);
  return text;
}

}  // namespace

double text_extent(std::string_view text, double size, bool bold) {
  double width = 0.0;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      width += byte < 0x20 || byte > 0x7E ? kOther : kAdvance[byte - 0x20u] / 1000.0;
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    const std::size_t cells = display_width(text.substr(i, end - i));
    width += cells == 0 ? 0.0 : cells == 1 ? kOther : kWide;
    i = end;
  }
  return width * size * (bold ? kBold : 1.0);
}

Box text_box(Xy at, std::string_view text, const Lettering& lettering) {
  const double width = text_extent(text, lettering.size, lettering.bold);
  const double left = lettering.anchor == Anchor::kStart    ? at.x
                      : lettering.anchor == Anchor::kMiddle ? at.x - width / 2
                                                            : at.x - width;
  return {left, at.y - kAscent * lettering.size, left + width, at.y + kDescent * lettering.size};
}

std::string escape_xml(std::string_view text) {
  std::string escaped;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string coordinate(double value) {
  LMBITS_CHECK(std::isfinite(value));
  std::string text = format_fixed(value, 2);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string palette_css() {
  const std::string light = ":root{color-scheme:light dark;" + properties(false) + "}\n";
  const std::string dark = "@media (prefers-color-scheme:dark){:root{" + properties(true) + "}}\n";
  const std::string print =
      "@media print{:root{color-scheme:light;print-color-adjust:exact;"
      "-webkit-print-color-adjust:exact;" +
      properties(false) + "}}\n";
  return light + dark + print;
}

std::string drawing_css() { return css_for(Look::kInline); }

Drawing::Drawing(double width, double height, std::string title)
    : width_(width), height_(height), title_(std::move(title)) {}

void Drawing::line(Xy from, Xy to, std::string_view classes) {
  body_ += "<line" + attribute("x1", from.x) + attribute("y1", from.y) + attribute("x2", to.x) + attribute("y2", to.y) +
           attribute("class", classes) + "/>\n";
}

void Drawing::polyline(const std::vector<Xy>& points, std::string_view classes) {
  body_ += "<polyline" + attribute("points", list_of(points)) + attribute("class", classes) + "/>\n";
}

void Drawing::polygon(const std::vector<Xy>& points, std::string_view classes) {
  body_ += "<polygon" + attribute("points", list_of(points)) + attribute("class", classes) + "/>\n";
}

void Drawing::rectangle(const Box& box, std::string_view classes, double radius) {
  body_ += "<rect" + attribute("x", box.left) + attribute("y", box.top) + attribute("width", box.width()) +
           attribute("height", box.height()) + (radius > 0.0 ? attribute("rx", radius) : "") +
           attribute("class", classes) + "/>\n";
}

void Drawing::path(std::string_view commands, std::string_view classes) {
  body_ += "<path" + attribute("d", commands) + attribute("class", classes) + "/>\n";
}

void Drawing::text(Xy baseline, std::string_view text, const Lettering& lettering) {
  const std::string at = attribute("x", baseline.x) + attribute("y", baseline.y);
  const std::string turn = "rotate(-90 " + coordinate(baseline.x) + " " + coordinate(baseline.y) + ")";
  body_ += "<text" + at + attribute("font-size", lettering.size) +
           (lettering.anchor == Anchor::kStart
                ? ""
                : attribute("text-anchor", lettering.anchor == Anchor::kMiddle ? "middle" : "end")) +
           (lettering.upwards ? attribute("transform", turn) : "") +
           attribute("class", lettering.classes + (lettering.bold ? " bold" : "")) + ">" + escape_xml(text) +
           "</text>\n";
}

void Drawing::fixed_text(Xy baseline, std::string_view text, double width, double size, std::string_view classes) {
  body_ += "<text" + attribute("x", baseline.x) + attribute("y", baseline.y) + attribute("font-size", size) +
           attribute("textLength", width) + attribute("lengthAdjust", "spacingAndGlyphs") +
           attribute("xml:space", "preserve") + attribute("class", std::string(classes) + " fixed") + ">" +
           escape_xml(text) + "</text>\n";
}

void Drawing::begin(std::string_view tooltip, std::string_view name) {
  body_ += "<g" + attribute("data-name", name) + ">";
  if (!tooltip.empty()) body_ += "<title>" + escape_xml(tooltip) + "</title>";
  body_ += "\n";
  open_.push_back("</g>\n");
}

void Drawing::begin_clip(const Box& box) {
  // A nested viewport cuts off without a clip path, whose id would have to be unique in a page of many drawings.
  const std::string view =
      coordinate(box.left) + " " + coordinate(box.top) + " " + coordinate(box.width()) + " " + coordinate(box.height());
  body_ += "<svg" + attribute("x", box.left) + attribute("y", box.top) + attribute("width", box.width()) +
           attribute("height", box.height()) + attribute("viewBox", view) + ">\n";
  open_.push_back("</svg>\n");
}

void Drawing::end() {
  LMBITS_CHECK(!open_.empty());
  body_ += open_.back();
  open_.pop_back();
}

std::string Drawing::svg(Look look) const {
  LMBITS_CHECK(open_.empty());
  std::string style;
  if (look == Look::kAdaptive) style = "<style>\n" + palette_css() + css_for(look) + "</style>\n";
  if (look == Look::kLight || look == Look::kDark) style = "<style>\n" + css_for(look) + "</style>\n";
  const std::string size = coordinate(width_) + " " + coordinate(height_);
  const std::string background = look == Look::kInline ? ""
                                                       : "<rect" + attribute("width", width_) +
                                                             attribute("height", height_) + " class=\"surface\"/>\n";
  const std::string space = look == Look::kInline ? "" : " xmlns=\"http://www.w3.org/2000/svg\"";  // HTML knows
  return "<svg" + space + attribute("width", width_) + attribute("height", height_) +
         attribute("viewBox", "0 0 " + size) + attribute("role", "img") + attribute("aria-label", title_) +
         attribute("class", "drawing") + ">\n" + style + background + body_ + "</svg>\n";
}

}  // namespace lmbits
