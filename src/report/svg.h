// A drawing in SVG 1.1: shapes with classes instead of colours, so that one picture serves light, dark and print.
//
// Coordinates are pixels, y grows downwards. Text is measured with an upper bound of the common sans-serif fonts
// (DejaVu Sans, the widest of them), so what does not overlap in a layout does not overlap on screen.
//
// Classes, each with a light and a dark colour:
//   surface ink muted faint     fill: the background; text; secondary text; a very light area
//   ink-line muted-line axis grid   stroke: the first for data without a group, the last two for frames
//   axis-fill grid-fill         fill, in the frames' colours
//   fill-0 ... fill-5           fill of a series; kSeriesColours of them, which colour-blind readers tell apart
//   line-0 ... line-5           stroke of a series, no fill
//   band-0 ... band-5           a translucent fill of a series; band-ink for data without a group
//   heat-0 ... heat-8           fill, from cheap to dear; text in `ink` stays readable on each
//   diff-0 ... diff-8           fill, diverging: 0 the first side's, 4 neutral, 8 the second side's
//   dashed dotted thin thick bold deep outlined untouchable    modify the others: deep is a less translucent band,
//                               outlined a text readable across lines, untouchable lets the tooltip below through
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct Xy {
  double x = 0.0, y = 0.0;
};

struct Box {
  double left = 0.0, top = 0.0, right = 0.0, bottom = 0.0;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
  Xy centre() const { return {(left + right) / 2, (top + bottom) / 2}; }
  Box grown(double by) const { return {left - by, top - by, right + by, bottom + by}; }
  bool overlaps(const Box& b) const { return left < b.right && b.left < right && top < b.bottom && b.top < bottom; }
  bool contains(const Box& b) const { return left <= b.left && b.right <= right && top <= b.top && b.bottom <= bottom; }
  bool contains(Xy p) const { return left <= p.x && p.x <= right && top <= p.y && p.y <= bottom; }
};

inline constexpr int kSeriesColours = 6;
inline constexpr int kHeatSteps = 9;

enum class Anchor { kStart, kMiddle, kEnd };

struct Lettering {
  double size = 12.0;  // px
  Anchor anchor = Anchor::kStart;
  bool bold = false;
  std::string classes = "ink";
  bool upwards = false;  // turned by 90 degrees, read from below
};

// No wider than this in the fonts that the style sheet names.
double text_extent(std::string_view text, double size, bool bold = false);
// The line box of a text that is not turned: `at` is on its baseline.
Box text_box(Xy at, std::string_view text, const Lettering& lettering);

// & < > " and bytes that neither XML nor a terminal takes (see `printable`).
std::string escape_xml(std::string_view text);
// A coordinate: two decimals at most. Throws std::logic_error for one that is not finite.
std::string coordinate(double value);

enum class Look {
  kAdaptive,  // a file that follows the reader's light or dark setting, and prints light; light where that is unknown
  kLight,
  kDark,    // for renderers without media queries
  kInline,  // a part of a page that has palette_css and drawing_css, on its background
};

// The colours as custom properties of `:root` (`--ink`, `--series-0`, ...), for screens light and dark, and print.
std::string palette_css();
// The rules of the classes above, below `.drawing`, in terms of palette_css.
std::string drawing_css();

class Drawing {
 public:
  // `title` is read to those who do not see the picture.
  Drawing(double width, double height, std::string title);

  double width() const { return width_; }
  double height() const { return height_; }

  void line(Xy from, Xy to, std::string_view classes);
  void polyline(const std::vector<Xy>& points, std::string_view classes);
  void polygon(const std::vector<Xy>& points, std::string_view classes);
  void rectangle(const Box& box, std::string_view classes, double radius = 0.0);
  void path(std::string_view commands, std::string_view classes);
  void text(Xy baseline, std::string_view text, const Lettering& lettering);
  // The same, stretched or squeezed to exactly `width`: characters then lie on a grid whatever the font.
  void fixed_text(Xy baseline, std::string_view text, double width, double size, std::string_view classes = "ink");

  // What follows, until end(): one thing with a tooltip (none where empty) and, for scripts, a name (data-name).
  void begin(std::string_view tooltip, std::string_view name = {});
  // What follows, until end(): cut off outside of the box.
  void begin_clip(const Box& box);
  void end();

  // Throws std::logic_error where a begin has no end.
  std::string svg(Look look) const;

 private:
  double width_, height_;
  std::string title_, body_;
  std::vector<std::string_view> open_;  // closing tags
};

}  // namespace lmbits
