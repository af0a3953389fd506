#include "src/report/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "src/report/axis.h"
#include "src/report/labels.h"

namespace lmbits {
namespace {

std::vector<double> named(const std::vector<Tick>& all) {
  std::vector<double> values;
  for (const Tick& tick : all)
    if (!tick.label.empty()) values.push_back(tick.value);
  return values;
}

std::vector<std::string> labels_of(const std::vector<Tick>& all) {
  std::vector<std::string> labels;
  for (const Tick& tick : all)
    if (!tick.label.empty()) labels.push_back(tick.label);
  return labels;
}

TEST(Ticks, AreRoundInsideTheRangeAndAboutAsManyAsAsked) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-6.0, 6.0), share(0.0, 1.0);
  for (int i = 0; i < 2000; ++i) {
    const double lo = (share(random) - 0.5) * std::pow(10.0, exponent(random));
    const double hi = lo + std::pow(10.0, exponent(random)) * std::max(std::abs(lo), 1e-6);
    const auto values = named(ticks(lo, hi, Scale::kLinear, 6, Notation::kPlain));
    ASSERT_GE(values.size(), 3u) << lo << " " << hi;
    ASSERT_LE(values.size(), 10u) << lo << " " << hi;
    const double step = values[1] - values[0], digit = step / std::pow(10.0, std::floor(std::log10(step) + 1e-6));
    EXPECT_TRUE(std::abs(digit - 1) < 1e-3 || std::abs(digit - 2) < 1e-3 || std::abs(digit - 5) < 1e-3) << digit;
    EXPECT_GE(values.front(), lo - 1e-6 * step);
    EXPECT_LE(values.back(), hi + 1e-6 * step);
  }
}

TEST(Ticks, SayTheirValue) {
  EXPECT_EQ(labels_of(ticks(-0.3, 0.25, Scale::kLinear, 2, Notation::kPlain)),
            (std::vector<std::string>{"−0.2", "0.0", "0.2"}));
  EXPECT_EQ(labels_of(ticks(9000, 31000, Scale::kLinear, 2, Notation::kPlain)),
            (std::vector<std::string>{"10,000", "20,000", "30,000"}));
  EXPECT_EQ(labels_of(ticks(3e5, 4e7, Scale::kLog, 3, Notation::kSi)), (std::vector<std::string>{"1 M", "10 M"}));
  EXPECT_EQ(labels_of(ticks(1e18, 1e24, Scale::kLog, 3, Notation::kPlain)),
            (std::vector<std::string>{"10¹⁸", "10²⁰", "10²²", "10²⁴"}));
  EXPECT_EQ(labels_of(ticks(1.5, 5.0, Scale::kLog, 6, Notation::kPlain)),
            (std::vector<std::string>{"2", "3", "4", "5"}));
}

TEST(Ticks, RefuseAnEmptyRange) {
  EXPECT_THROW(ticks(1.0, 1.0, Scale::kLinear, 5, Notation::kPlain), std::logic_error);
  EXPECT_THROW(ticks(0.0, 1.0, Scale::kLog, 5, Notation::kPlain), std::logic_error);
}

TEST(Spread, KeepsOrderAndRoomAndMovesOnlyWhatTouches) {
  const std::vector<double> sizes(4, 10.0);
  const std::vector<double> at = spread({0.0, 50.0, 52.0, 54.0}, sizes, -5.0, 100.0);
  EXPECT_EQ(at, (std::vector<double>{0.0, 42.0, 52.0, 62.0}));
  const std::vector<double> pressed = spread({95.0, 96.0, 97.0, 98.0}, sizes, 0.0, 100.0);
  EXPECT_EQ(pressed, (std::vector<double>{65.0, 75.0, 85.0, 95.0}));
}

// A plot of many named points around a line, as a figure of 60 checkpoints has it.
Plot crowded_plot(int n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Plot plot;
  plot.x.title = "bits per byte";
  plot.y.title = "score";
  plot.notes = {"ρ = −0.931", "RMSE = 0.031"};
  plot.points.resize(3);
  for (int i = 0; i < n; ++i) {
    const double x = 0.6 + 0.05 * normal(random), y = 50.0 - 200.0 * (x - 0.6) + 3.0 * normal(random);
    plot.points[static_cast<std::size_t>(i % 3)].colour = i % 3;
    plot.points[static_cast<std::size_t>(i % 3)].points.push_back(
        {.at = {x, y}, .label = "model-" + std::to_string(i) + "b"});
  }
  plot.lines.push_back({.name = "least squares", .points = {{0.45, 80.0}, {0.75, 20.0}}});
  return plot;
}

void expect_disjoint(const std::vector<Box>& a, const std::vector<Box>& b, const char* what) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = &a == &b ? i + 1 : 0; k < b.size(); ++k)
      EXPECT_FALSE(a[i].overlaps(b[k])) << what << " " << i << " " << k;
  }
}

TEST(Plot, LabelsCoverNeitherEachOtherNorMarksNorTheLegend) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    for (const int n : {3, 20, 60}) {
      Drawing drawing(760, 520, "test");
      const PlotLayout layout = draw_plot(drawing, {0, 0, 760, 520}, crowded_plot(n, seed));
      EXPECT_EQ(layout.labels.size() + static_cast<std::size_t>(layout.n_unlabelled), static_cast<std::size_t>(n));
      expect_disjoint(layout.labels, layout.labels, "labels");
      expect_disjoint(layout.labels, layout.marks, "label and mark");
      ASSERT_TRUE(layout.legend);
      expect_disjoint(layout.labels, {*layout.legend}, "label and legend");
      expect_disjoint(layout.marks, {*layout.legend}, "mark and legend");
      for (const Box& label : layout.labels) EXPECT_TRUE(layout.frame.contains(label));
      expect_disjoint(layout.texts, layout.texts, "texts");
      const std::string said = std::to_string(layout.n_unlabelled) + " of " + std::to_string(n) + " names have no room";
      EXPECT_EQ(drawing.svg(Look::kAdaptive).find(said) != std::string::npos, layout.n_unlabelled > 0) << n;
      for (std::size_t i = 0; i < layout.leaders.size(); ++i) {
        for (std::size_t k = 0; k < i; ++k) EXPECT_FALSE(cross(layout.leaders[i], layout.leaders[k]));
      }
    }
  }
}

// To the right of the mark is the best place, and it is taken.
TEST(Labels, KeepOffObstaclesWithAndWithoutALeader) {
  const Box area{0, 0, 200, 200}, box{105, 60, 170, 140};
  const std::vector<LabelRequest> requests = {{.point = {100, 100}, .width = 40, .height = 12}};
  const auto free = place_labels(area, requests, {});
  ASSERT_TRUE(free[0]);
  EXPECT_TRUE(free[0]->box.overlaps(box)) << "not the best place: the test would not see that the box is kept off";
  const auto kept_off = place_labels(area, requests, {.boxes = {box}});
  ASSERT_TRUE(kept_off[0]);
  EXPECT_FALSE(kept_off[0]->box.overlaps(box));
  const auto walled =
      place_labels(area, requests, {.boxes = {{0, 0, 200, 92}, {0, 108, 200, 200}, box, {20, 92, 94, 108}}});
  EXPECT_FALSE(walled[0]) << "a leader crosses a box";
}

TEST(Plot, TwentyPointsAllHaveTheirLabel) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    Drawing drawing(760, 520, "test");
    EXPECT_EQ(draw_plot(drawing, {0, 0, 760, 520}, crowded_plot(20, seed)).n_unlabelled, 0) << seed;
  }
}

TEST(Plot, LeadersCrossNoLabelOfAnotherPoint) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    Drawing drawing(760, 520, "test");
    const PlotLayout layout = draw_plot(drawing, {0, 0, 760, 520}, crowded_plot(40, seed));
    for (const auto& leader : layout.leaders) {
      int met = 0;  // its own label's edge, where it ends
      for (const Box& label : layout.labels) met += meets(leader, label) ? 1 : 0;
      EXPECT_EQ(met, 1);
    }
  }
}

TEST(Plot, TextsOfAxesAndReferencesDoNotOverlapAndStayInside) {
  Plot plot = crowded_plot(10, 1);
  plot.title = "A title";
  plot.references = {{.value = 40.0, .label = "gzip-9"},
                     {.value = 40.5, .label = "zstd-19"},
                     {.value = 41.0, .label = "xz-9e"},
                     {.value = 0.60, .label = "here", .vertical = true},
                     {.value = 0.601, .label = "and there", .vertical = true}};
  for (const double width : {360.0, 760.0}) {
    Drawing drawing(width, 420, "test");
    const Box area{0, 0, width, 420};
    const PlotLayout layout = draw_plot(drawing, area, plot);
    expect_disjoint(layout.texts, layout.texts, "texts");
    for (const Box& text : layout.texts)
      EXPECT_TRUE(area.contains(text)) << text.left << " " << text.right << " " << text.top << " " << text.bottom;
  }
}

TEST(Plot, ALegendThatWouldHidePointsLiesBesideTheFrame) {
  Plot plot;
  plot.points.push_back({.name = "everywhere"});
  for (int i = 0; i <= 20; ++i)
    for (int k = 0; k <= 20; ++k)
      plot.points[0].points.push_back({.at = {static_cast<double>(i), static_cast<double>(k)}});
  Drawing drawing(600, 400, "test");
  const PlotLayout layout = draw_plot(drawing, {0, 0, 600, 400}, plot);
  ASSERT_TRUE(layout.legend);
  EXPECT_GT(layout.legend->left, layout.frame.right);
  EXPECT_LE(layout.legend->right, 600.0);
}

TEST(Plot, NamesAsLongAsAPathLeaveRoomForTheData) {
  Plot plot = crowded_plot(5, 1);
  plot.points[0].points[0].label = plot.points[0].name = plot.lines[0].name = std::string(300, 'x');
  plot.references = {{.value = 45.0, .label = std::string(300, 'y')}};
  Drawing drawing(760, 520, "test");
  EXPECT_GT(draw_plot(drawing, {0, 0, 760, 520}, plot).frame.width(), 250.0);
}

TEST(Plot, UndefinedPointsAreLeftOut) {
  Plot plot;
  plot.x.scale = Scale::kLog;
  plot.points.push_back(
      {.points = {{.at = {1.0, 1.0}}, {.at = {0.0, 1.0}}, {.at = {10.0, std::nan("")}}, {.at = {100.0, 2.0}}}});
  Drawing drawing(600, 400, "test");
  EXPECT_EQ(draw_plot(drawing, {0, 0, 600, 400}, plot).marks.size(), 2u);
}

TEST(Plot, BetweenTwoRunsThereIsNoTick) {
  Plot plot;
  plot.points.push_back({.points = {{.at = {1.0, 1.25}}, {.at = {2.0, 1.5}}, {.at = {3.0, 1.75}}}});
  Drawing drawing(760, 340, "test");
  draw_plot(drawing, {0, 0, 760, 340}, plot);
  const std::string svg = drawing.svg(Look::kAdaptive);
  for (const char* label : {">1<", ">2<", ">3<"}) EXPECT_NE(svg.find(label), std::string::npos) << label;
  for (const char* label : {">2.5<", ">1.0<", ">2.0<"}) EXPECT_EQ(svg.find(label), std::string::npos) << label;
}

TEST(Plot, WithoutAnyPointThereIsNoRange) {
  Drawing drawing(600, 400, "test");
  EXPECT_THROW(draw_plot(drawing, {0, 0, 600, 400}, Plot{}), std::logic_error);
}

}  // namespace
}  // namespace lmbits
