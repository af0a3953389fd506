// A plot as data: axes, bands, lines, points with intervals and names; and the drawing of it.
//
//   Plot plot;
//   plot.x = {.title = "tokens", .scale = Scale::kLog};
//   plot.y = {.title = "bits/byte"};
//   plot.points.push_back({.name = "family m", .colour = 0, .points = {{.at = {1e6, 2.1}, .label = "m-250"}}});
//   Drawing drawing(640, 440, "Learning curves");
//   draw_plot(drawing, {0, 0, 640, 440}, plot);
//   write_file_atomically("curves.svg", drawing.svg(Look::kAdaptive));
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/report/svg.h"
#include "src/stats/bootstrap.h"

namespace lmbits {

enum class Scale { kLinear, kLog };

// How an axis writes its numbers: as they are (10,000; from 1e5 on and below 1e-4 as powers), with k, M, G, T, or always
// as powers of ten.
enum class Notation { kPlain, kSi, kPowers };

struct Axis {
  std::string title = {};
  Scale scale = Scale::kLinear;
  Notation notation = Notation::kPlain;
  std::optional<double> lo = {}, hi = {};  // null: the data's, with a margin
};

struct Tick {
  double value = 0.0;
  std::string label;  // empty: a minor tick
};

// Round values in [lo, hi], about `count` of them, half as many or half more: multiples of 1, 2 or 5 times a power of ten; on a logarithmic scale
// powers of ten (every second, third ... where there are many; also 2 and 5 times, or all, where there are few), with the
// multiples between them as minor ticks. Throws std::logic_error unless lo < hi, and 0 < lo on a logarithmic scale.
std::vector<Tick> ticks(double lo, double hi, Scale scale, int count, Notation notation);

// Colours: 0, 1, ... for the series, or one of these. Points of different numbers below 36 differ in colour or shape.
inline constexpr int kInk = -1, kMuted = -2;

enum class Dash { kSolid, kDashed, kDotted };

struct PlotPoint {
  Xy at;                                   // in the axes' units; a point where either is not finite is left out
  std::optional<Interval> x = {}, y = {};  // bars through the point
  std::string label = {};                  // beside it, with a leader line where there is no room; empty: none
  std::string tooltip = {};
  bool hollow = false;
};

struct PointSeries {
  std::string name = {};  // in the legend; empty: not there
  int colour = 0;         // and shape
  std::vector<PlotPoint> points = {};
};

struct LineSeries {
  std::string name = {};
  int colour = kInk;
  std::vector<Xy> points = {};
  Dash dash = Dash::kSolid;
  bool thin = false;
};

struct BandSeries {
  std::string name = {};
  int colour = kInk;
  std::vector<Xy> lower = {}, upper = {};
  bool deep = false;  // less translucent: the inner one of two
};

// A line across the whole plot, named at its end.
struct ReferenceLine {
  double value = 0.0;
  std::string label = {};
  bool vertical = false;  // at x = value, else at y = value
};

struct Plot {
  std::string title = {};
  Axis x = {}, y = {};
  std::vector<BandSeries> bands = {};
  std::vector<ReferenceLine> references = {};
  std::vector<LineSeries> lines = {};
  std::vector<PointSeries> points = {};
  std::vector<std::string> notes = {};  // first lines of the legend's box
  double font = 12.0;                   // px
  double mark = 4.5;                    // px: the points' radius
};

// Where things came to lie, for tests and for drawing on top.
struct PlotLayout {
  Box frame;  // between the axes
  std::optional<Box> legend;
  std::vector<Box> labels, marks;  // labels of points; marks of all points
  std::vector<std::pair<Xy, Xy>> leaders;
  std::vector<Box> texts;  // of the axes, the title and the reference lines
  int n_unlabelled = 0;  // labels without a free place: their points have the tooltip only, and the plot says how many
};

// Draws within `area`. The legend lies in a corner of the frame without points, right of the frame where there is none.
// Throws std::logic_error where the axes have no range: no finite point, and no lo and hi.
PlotLayout draw_plot(Drawing& drawing, const Box& area, const Plot& plot);

}  // namespace lmbits
