#include "src/report/plot.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "src/core/error.h"
#include "src/report/axis.h"
#include "src/report/labels.h"
#include "src/report/short_name.h"

namespace lmbits {
namespace {

constexpr double kTick = 4.0, kGap = 6.0;  // px
constexpr double kLegendInset = 8.0, kSwatch = 22.0;
constexpr double kLineHeight = 1.45;      // of the font size
constexpr double kSmall = 0.88;           // of the font size: ticks, labels, legend
constexpr std::size_t kLongestName = 32;  // terminal cells
constexpr double kTickSpacingX = 120.0, kTickSpacingY = 60.0;

// Names as long as a path would leave no room for the data; tooltips have them in full.
std::string short_name(const std::string& name) { return shortened(name, kLongestName); }

std::string coloured(const char* kind, int colour) {
  return std::string(kind) + std::to_string(colour % kSeriesColours);
}

std::string fill_of(int colour) {
  return colour == kInk ? "ink" : colour == kMuted ? "muted" : coloured("fill-", colour);
}
std::string line_of(int colour) {
  return colour == kInk ? "ink-line" : colour == kMuted ? "muted-line" : coloured("line-", colour);
}
std::string band_of(const BandSeries& band) {
  return (band.colour < 0 ? "band-ink" : coloured("band-", band.colour)) + (band.deep ? " deep" : "");
}

std::string line_classes(const LineSeries& line) {
  return line_of(line.colour) +
         (line.dash == Dash::kDashed   ? " dashed"
          : line.dash == Dash::kDotted ? " dotted"
                                       : "") +
         (line.thin ? " thin" : "");
}

// Shapes move on by one with each round of the colours.
int shape_of(int colour) { return colour < 0 ? 0 : (colour + colour / kSeriesColours) % kSeriesColours; }

// A closed outline around `c`; the shapes have about the same area.
std::string shape_path(int colour, Xy c, double r) {
  const auto through = [&](std::initializer_list<Xy> corners) {
    std::string path;
    for (const Xy& p : corners)
      path += (path.empty() ? "M" : "L") + coordinate(c.x + r * p.x) + " " + coordinate(c.y + r * p.y);
    return path + "Z";
  };
  switch (shape_of(colour)) {
    case 1:
      return through({{-0.88, -0.88}, {0.88, -0.88}, {0.88, 0.88}, {-0.88, 0.88}});
    case 2:
      return through({{0, -1.2}, {1.15, 0.8}, {-1.15, 0.8}});
    case 3:
      return through({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
    case 4:
      return through({{0, 1.2}, {1.15, -0.8}, {-1.15, -0.8}});
    case 5:
      return through({{-0.4, -1.15},
                      {0.4, -1.15},
                      {0.4, -0.4},
                      {1.15, -0.4},
                      {1.15, 0.4},
                      {0.4, 0.4},
                      {0.4, 1.15},
                      {-0.4, 1.15},
                      {-0.4, 0.4},
                      {-1.15, 0.4},
                      {-1.15, -0.4},
                      {-0.4, -0.4}});
    default:
      break;
  }
  const std::string radius = coordinate(r), arc = "A" + radius + " " + radius + " 0 1 1 ";
  return "M" + coordinate(c.x - r) + " " + coordinate(c.y) + arc + coordinate(c.x + r) + " " + coordinate(c.y) + arc +
         coordinate(c.x - r) + " " + coordinate(c.y) + "Z";
}

// One line of the legend: a swatch, if it has one, and its text.
struct LegendLine {
  std::string text;
  std::function<void(Drawing&, Xy)> swatch;  // around this centre
};

class Painter {
 public:
  Painter(Drawing& drawing, const Box& area, const Plot& plot)
      : drawing_(drawing), plot_(plot), area_(area), small_(plot.font * kSmall), x_(range(true)), y_(range(false)) {}

  PlotLayout draw() {
    collect_legend();
    if (!lay_out(false)) lay_out(true);
    draw_frame();
    draw_data();
    draw_references();
    if (layout_.legend) draw_legend();
    draw_marks();
    draw_labels();
    return layout_;
  }

 private:
  // ---- layout ----

  template <typename Visit>
  void for_each_value(const Visit& visit) const {
    for (const PointSeries& series : plot_.points) {
      for (const PlotPoint& p : series.points) {
        visit(p.at);
        if (p.x) visit({p.x->lo, p.at.y}), visit({p.x->hi, p.at.y});
        if (p.y) visit({p.at.x, p.y->lo}), visit({p.at.x, p.y->hi});
      }
    }
    for (const LineSeries& line : plot_.lines)
      for (const Xy& p : line.points) visit(p);
  }

  // Numbers of runs, of steps: between two of them there is nothing, and so no tick.
  bool counts(const AxisScale& scale) const {
    const bool of_x = &scale == &x_;
    bool whole = !plot_.points.empty();
    for_each_value([&](Xy p) {
      const double value = of_x ? p.x : p.y;
      whole = whole && value == std::round(value);
    });
    return whole;
  }

  AxisScale range(bool of_x) const {
    const Axis& axis = of_x ? plot_.x : plot_.y;
    AxisRange range(axis.scale);
    for_each_value([&](Xy p) {
      if (std::isfinite(p.x) && std::isfinite(p.y)) range.add(of_x ? p.x : p.y);
    });
    for (const ReferenceLine& line : plot_.references)
      if (line.vertical == of_x) range.add(line.value);
    return range.finished(axis);
  }

  Lettering small(Anchor anchor, const char* classes = "muted") const { return {small_, anchor, false, classes}; }

  // False where the legend would have to lie outside, and `outside` is false.
  bool lay_out(bool outside) {
    const double line = plot_.font * kLineHeight;
    Box frame = area_;
    frame.top += plot_.title.empty() ? kGap + small_ / 2 : line + 2 * kGap;
    if (has_references(true)) frame.top += line;
    frame.bottom -= kTick + kGap + small_ + (plot_.x.title.empty() ? kGap : line + kGap);
    y_.set_pixels(frame.bottom, frame.top);
    y_ticks_ = fitting_ticks(plot_.y, y_, frame.height() / kTickSpacingY, [&](const Tick&) { return small_; });
    double widest = 0.0;
    for (const Tick& tick : y_ticks_) widest = std::max(widest, text_extent(tick.label, small_));
    frame.left += (plot_.y.title.empty() ? kGap : line + kGap) + widest + kTick + 4.0;
    frame.right -= 2 * kGap;
    for (const ReferenceLine& r : plot_.references)
      if (!r.vertical) widest_reference_ = std::max(widest_reference_, text_extent(short_name(r.label), small_) + kGap);
    if (has_references(false)) frame.right -= widest_reference_ + kGap;
    if (outside) frame.right -= legend_width() + 2 * kGap;
    x_.set_pixels(frame.left, frame.right);
    x_ticks_ = fitting_ticks(plot_.x, x_, frame.width() / kTickSpacingX,
                             [&](const Tick& tick) { return text_extent(tick.label, small_) + kGap; });
    layout_.frame = frame;
    return place_legend(outside);
  }

  // Fewer ticks, until their labels do not touch.
  template <typename Size>
  std::vector<Tick> fitting_ticks(const Axis& axis, const AxisScale& scale, double most, const Size& size) const {
    for (int count = std::max(3, static_cast<int>(std::lround(most)));; --count) {
      const std::vector<Tick> all = ticks(scale.lo(), scale.hi(), axis.scale, count, axis.notation);
      const bool whole = std::all_of(all.begin(), all.end(),
                                     [](const Tick& t) { return std::abs(t.value - std::round(t.value)) < 1e-9; });
      if (count > 1 && !whole && counts(scale)) continue;
      const Tick* before = nullptr;
      bool fits = true;
      for (const Tick& tick : all) {
        if (tick.label.empty()) continue;
        if (before != nullptr) {
          const double room = std::abs(scale.pixel(tick.value) - scale.pixel(before->value));
          fits = fits && (size(tick) + size(*before)) / 2 <= room;
        }
        before = &tick;
      }
      if (fits || count == 1) return all;
    }
  }

  bool has_references(bool vertical) const {
    return std::any_of(plot_.references.begin(), plot_.references.end(),
                       [&](const ReferenceLine& r) { return r.vertical == vertical && !r.label.empty(); });
  }

  std::optional<Xy> place(Xy value) const {
    if (!x_.defined(value.x) || !y_.defined(value.y)) return std::nullopt;
    return Xy{x_.pixel(value.x), y_.pixel(value.y)};
  }

  bool shows(Xy value) const { return x_.shows(value.x) && y_.shows(value.y); }

  // ---- legend ----

  void collect_legend() {
    for (const std::string& note : plot_.notes) legend_.push_back({note, {}});
    for (const PointSeries& s : plot_.points) {
      if (!s.name.empty())
        legend_.push_back({short_name(s.name), [this, &s](Drawing& d, Xy c) {
                             const bool hollow = !s.points.empty() && s.points.front().hollow;
                             d.path(shape_path(s.colour, c, plot_.mark), (hollow ? line_of : fill_of)(s.colour));
                           }});
    }
    for (const LineSeries& s : plot_.lines) {
      if (!s.name.empty())
        legend_.push_back({short_name(s.name), [&s](Drawing& d, Xy c) {
                             d.line({c.x - 9, c.y}, {c.x + 9, c.y}, line_classes(s));
                           }});
    }
    for (const BandSeries& s : plot_.bands) {
      if (!s.name.empty())
        legend_.push_back({short_name(s.name), [&s](Drawing& d, Xy c) {
                             d.rectangle({c.x - 9, c.y - 5, c.x + 9, c.y + 5}, band_of(s));
                           }});
    }
  }

  bool has_swatches() const { return legend_.size() > plot_.notes.size(); }

  double legend_width() const {
    double width = 0.0;
    for (const LegendLine& line : legend_)
      width = std::max(width, text_extent(line.text, small_) + (line.swatch ? kSwatch + kGap : 0.0));
    return legend_.empty() ? 0.0 : width + 2 * kGap;
  }

  double legend_height() const { return static_cast<double>(legend_.size()) * small_ * kLineHeight + 1.5 * kGap; }

  bool place_legend(bool outside) {
    layout_.legend.reset();
    if (legend_.empty()) return true;
    const double width = legend_width(), height = legend_height();
    const Box& f = layout_.frame;
    if (outside) {
      const double left = area_.right - kGap - width;
      layout_.legend = Box{left, f.top, left + width, f.top + height};
      return true;
    }
    const double left = f.left + kLegendInset, right = f.right - kLegendInset - width;
    const double top = f.top + kLegendInset, bottom = f.bottom - kLegendInset - height;
    for (const Xy corner : {Xy{right, top}, Xy{left, top}, Xy{left, bottom}, Xy{right, bottom}}) {
      const Box box{corner.x, corner.y, corner.x + width, corner.y + height};
      if (!f.contains(box) || covers_data(box.grown(kGap))) continue;
      layout_.legend = box;
      return true;
    }
    return false;
  }

  bool covers_data(const Box& box) const {
    for (const PointSeries& series : plot_.points) {
      for (const PlotPoint& p : series.points) {
        const auto at = place(p.at);
        if (at && box.grown(plot_.mark).contains(*at)) return true;
        for (const auto& bar : bars_of(p))
          if (meets(bar, box)) return true;
      }
    }
    for (const auto& stroke : strokes_of_lines())
      if (meets(stroke, box)) return true;
    return false;
  }

  std::vector<std::pair<Xy, Xy>> bars_of(const PlotPoint& p) const {
    std::vector<std::pair<Xy, Xy>> bars;
    const auto add = [&](Xy a, Xy b) {
      const auto from = place(a), to = place(b);
      if (from && to) bars.emplace_back(*from, *to);
    };
    if (p.x) add({p.x->lo, p.at.y}, {p.x->hi, p.at.y});
    if (p.y) add({p.at.x, p.y->lo}, {p.at.x, p.y->hi});
    return bars;
  }

  std::vector<std::pair<Xy, Xy>> strokes_of_lines() const {
    std::vector<std::pair<Xy, Xy>> strokes;
    for (const LineSeries& line : plot_.lines) {
      for (std::size_t i = 1; i < line.points.size(); ++i) {
        const auto from = place(line.points[i - 1]), to = place(line.points[i]);
        if (from && to) strokes.emplace_back(*from, *to);
      }
    }
    return strokes;
  }

  void draw_legend() {
    const Box& box = *layout_.legend;
    drawing_.rectangle(box, "surface", 3);
    drawing_.rectangle(box, "grid", 3);
    double baseline = box.top + kGap * 0.75 + small_ * 1.08;
    const double indent = kGap + (has_swatches() ? kSwatch : 0.0);
    for (const LegendLine& line : legend_) {
      if (line.swatch) line.swatch(drawing_, {box.left + kGap + kSwatch / 2 - 2, baseline - small_ * 0.35});
      const double left = box.left + (line.swatch ? indent + 2 : kGap);
      drawing_.text({left, baseline}, line.text, small(Anchor::kStart, "ink"));
      baseline += small_ * kLineHeight;
    }
  }

  // ---- drawing ----

  void write(Xy at, const std::string& text, const Lettering& lettering) {
    drawing_.text(at, text, lettering);
    if (!lettering.upwards) {
      layout_.texts.push_back(text_box(at, text, lettering));
      return;
    }
    const double half = text_extent(text, lettering.size, lettering.bold) / 2;  // such a text is anchored in the middle
    layout_.texts.push_back({at.x - lettering.size, at.y - half, at.x + 0.3 * lettering.size, at.y + half});
  }

  void draw_frame() {
    const Box& f = layout_.frame;
    for (const Tick& tick : x_ticks_) {
      const double x = x_.pixel(tick.value);
      const bool minor = tick.label.empty();
      if (!minor) drawing_.line({x, f.top}, {x, f.bottom}, "grid");
      drawing_.line({x, f.bottom}, {x, f.bottom + (minor ? kTick / 2 : kTick)}, "axis");
      if (!minor) write({x, f.bottom + kTick + 2 + small_}, tick.label, small(Anchor::kMiddle));
    }
    for (const Tick& tick : y_ticks_) {
      const double y = y_.pixel(tick.value);
      const bool minor = tick.label.empty();
      if (!minor) drawing_.line({f.left, y}, {f.right, y}, "grid");
      drawing_.line({f.left - (minor ? kTick / 2 : kTick), y}, {f.left, y}, "axis");
      if (!minor) write({f.left - kTick - 3, y + small_ * 0.36}, tick.label, small(Anchor::kEnd));
    }
    drawing_.polyline({{f.left, f.top}, {f.left, f.bottom}, {f.right, f.bottom}}, "axis");
    const double line = plot_.font * kLineHeight;
    if (!plot_.title.empty()) write({f.left, area_.top + line}, plot_.title, {plot_.font * 1.08, Anchor::kStart, true});
    if (!plot_.x.title.empty())
      write({f.centre().x, area_.bottom - kGap}, plot_.x.title, {plot_.font, Anchor::kMiddle});
    if (!plot_.y.title.empty())
      write({area_.left + plot_.font + 2, f.centre().y}, plot_.y.title,
            {plot_.font, Anchor::kMiddle, false, "ink", true});
  }

  std::vector<Xy> placed(const std::vector<Xy>& values) const {
    std::vector<Xy> points;
    for (const Xy& value : values)
      if (const auto at = place(value)) points.push_back(*at);
    return points;
  }

  void draw_data() {
    drawing_.begin_clip(layout_.frame);
    for (const BandSeries& band : plot_.bands) {
      std::vector<Xy> outline = placed(band.lower);
      const std::vector<Xy> upper = placed(band.upper);
      outline.insert(outline.end(), upper.rbegin(), upper.rend());
      drawing_.polygon(outline, band_of(band));
    }
    for (const LineSeries& line : plot_.lines) drawing_.polyline(placed(line.points), line_classes(line));
    for (const PointSeries& series : plot_.points) {
      for (const PlotPoint& p : series.points)
        for (const auto& [from, to] : bars_of(p)) drawing_.line(from, to, line_of(series.colour) + " thin");
    }
    drawing_.end();
  }

  // Horizontal lines are named right of the frame, vertical ones above it; names too near each other are moved apart.
  void draw_references() {
    const Box& f = layout_.frame;
    for (const bool vertical : {false, true}) {
      std::vector<const ReferenceLine*> lines;
      for (const ReferenceLine& r : plot_.references)
        if (r.vertical == vertical && (vertical ? x_ : y_).shows(r.value)) lines.push_back(&r);
      std::sort(lines.begin(), lines.end(), [&](auto* a, auto* b) {
        return vertical ? a->value < b->value : a->value > b->value;  // by pixel
      });
      std::vector<double> wanted, sizes;
      for (const ReferenceLine* r : lines) {
        wanted.push_back((vertical ? x_ : y_).pixel(r->value));
        sizes.push_back(vertical ? text_extent(short_name(r->label), small_) + kGap : small_ * 1.25);
      }
      const std::vector<double> at =
          spread(wanted, sizes, vertical ? area_.left : f.top - small_ / 2, vertical ? area_.right : f.bottom + small_);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (vertical)
          draw_vertical(*lines[i], wanted[i], at[i]);
        else
          draw_horizontal(*lines[i], wanted[i], at[i]);
      }
    }
  }

  void draw_horizontal(const ReferenceLine& line, double y, double label_y) {
    const Box& f = layout_.frame;
    drawing_.line({f.left, y}, {f.right, y}, "muted-line dashed thin");
    if (line.label.empty()) return;
    drawing_.line({f.right, y}, {f.right + kGap + 2, label_y}, "muted-line thin");
    write({f.right + kGap + 5, label_y + small_ * 0.36}, short_name(line.label), small(Anchor::kStart));
  }

  void draw_vertical(const ReferenceLine& line, double x, double label_x) {
    const Box& f = layout_.frame;
    drawing_.line({x, f.top}, {x, f.bottom}, "muted-line dashed thin");
    if (line.label.empty()) return;
    drawing_.line({x, f.top}, {label_x, f.top - 4}, "muted-line thin");
    write({label_x, f.top - 6}, short_name(line.label), small(Anchor::kMiddle));
  }

  void draw_marks() {
    for (const PointSeries& series : plot_.points) {
      for (const PlotPoint& p : series.points) {
        if (!shows(p.at)) continue;
        const Xy at = *place(p.at);
        const std::string path = shape_path(series.colour, at, plot_.mark);
        drawing_.begin(p.tooltip, p.label);
        if (p.hollow) drawing_.path(path, "surface");
        drawing_.path(path, p.hollow ? line_of(series.colour) : fill_of(series.colour) + " halo");
        drawing_.end();
        const double r = plot_.mark * 1.25;
        layout_.marks.push_back({at.x - r, at.y - r, at.x + r, at.y + r});
      }
    }
  }

  void draw_labels() {
    std::vector<LabelRequest> requests;
    std::vector<std::string> names;
    LabelObstacles obstacles;
    if (layout_.legend) obstacles.boxes.push_back(*layout_.legend);
    obstacles.strokes = strokes_of_lines();
    for (const ReferenceLine& r : plot_.references) {
      const Box& f = layout_.frame;
      if (r.vertical && x_.shows(r.value))
        obstacles.strokes.push_back({{x_.pixel(r.value), f.top}, {x_.pixel(r.value), f.bottom}});
      if (!r.vertical && y_.shows(r.value))
        obstacles.strokes.push_back({{f.left, y_.pixel(r.value)}, {f.right, y_.pixel(r.value)}});
    }
    for (const PointSeries& series : plot_.points) {
      for (const PlotPoint& p : series.points) {
        if (!shows(p.at)) continue;
        const Xy at = *place(p.at);
        for (const auto& bar : bars_of(p)) obstacles.strokes.push_back(bar);
        if (p.label.empty()) {
          obstacles.boxes.push_back(Box{at.x, at.y, at.x, at.y}.grown(plot_.mark * 1.25));
          continue;
        }
        requests.push_back({at, plot_.mark * 1.25, text_extent(short_name(p.label), small_), small_ * 1.17});
        names.push_back(short_name(p.label));
      }
    }
    const auto placed = place_labels(layout_.frame, requests, obstacles);
    for (std::size_t i = 0; i < placed.size(); ++i) {
      if (!placed[i]) {
        ++layout_.n_unlabelled;
        continue;
      }
      const auto& [box, leader] = *placed[i];
      layout_.labels.push_back(box);
      if (leader) {
        layout_.leaders.push_back(*leader);
        drawing_.line(leader->first, leader->second, "axis thin");
      }
      // The measured width is an upper bound: a label left of its point keeps to its point.
      const bool left_of_point = box.right < requests[i].point.x;
      const Anchor anchor = left_of_point                    ? Anchor::kEnd
                            : box.left > requests[i].point.x ? Anchor::kStart
                                                             : Anchor::kMiddle;
      const double x = left_of_point ? box.right : anchor == Anchor::kStart ? box.left : box.centre().x;
      drawing_.text({x, box.bottom - small_ * 0.26}, names[i], small(anchor, "ink outlined point-label"));
    }
    if (layout_.n_unlabelled > 0) draw_unlabelled(placed.size());
  }

  // Says that names are missing, on the title's line or the x axis' at the right, where there is room.
  void draw_unlabelled(std::size_t n_names) {
    const std::string text = std::to_string(layout_.n_unlabelled) + " of " + std::to_string(n_names) +
                             (n_names == 1 ? " name has no room" : " names have no room");
    for (const double y : {area_.top + plot_.font * kLineHeight, area_.bottom - kGap}) {
      const Box box = text_box({layout_.frame.right, y}, text, small(Anchor::kEnd));
      const bool free = area_.contains(box) && std::none_of(layout_.texts.begin(), layout_.texts.end(),
                                                            [&](const Box& other) { return other.overlaps(box); });
      if (free) return write({layout_.frame.right, y}, text, small(Anchor::kEnd));
    }
  }

  Drawing& drawing_;
  const Plot& plot_;
  Box area_;
  double small_;  // px
  AxisScale x_, y_;
  std::vector<Tick> x_ticks_, y_ticks_;
  std::vector<LegendLine> legend_;
  double widest_reference_ = 0.0;
  PlotLayout layout_;
};

}  // namespace

PlotLayout draw_plot(Drawing& drawing, const Box& area, const Plot& plot) {
  return Painter(drawing, area, plot).draw();
}

}  // namespace lmbits
