#include "src/report/run_figures.h"

#include <algorithm>
#include <cmath>

#include "src/report/bars.h"
#include "src/report/plot.h"
#include "src/report/rank_report.h"
#include "src/report/table.h"

namespace lmbits {
namespace {

constexpr double kWidth = 760.0, kCurvesHeight = 440.0;  // px
constexpr std::size_t kMostCurves = 24;                  // named in the legend

int decimals_of(Metric metric) { return metric == Metric::kRatio ? 2 : 3; }

std::string metric_words(Metric metric) {
  return metric == Metric::kBitsPerByte   ? "bits/byte"
         : metric == Metric::kBitsPerChar ? "bits/char"
                                          : "compression ratio";
}

std::string better_words(Metric metric) { return higher_is_better(metric) ? "longer is better" : "shorter is better"; }

std::string place_words(const RankReportTable& table) {
  if (!table.pooling) return table.corpus;
  return *table.pooling == Pooling::kMicro ? "overall (micro)" : "overall (macro)";
}

std::string stem_words(const RankReportTable& table) {
  const std::string place =
      table.pooling ? (*table.pooling == Pooling::kMicro ? "overall-micro" : "overall") : table.corpus;
  return table.convention == "default" ? place : place + "_" + table.convention;
}

std::string interval_words(const std::optional<Interval>& interval, double level, int decimals) {
  if (!interval) return "";
  return "\n" + percent_as_given(level) + " interval " + format_fixed(interval->lo, decimals) + " to " +
         format_fixed(interval->hi, decimals);
}

std::string rank_words(const RankedModel& ranked) {
  if (!ranked.rank_lo || *ranked.rank_lo == *ranked.rank_hi) return "\nrank " + std::to_string(ranked.rank);
  return "\nrank " + std::to_string(*ranked.rank_lo) + " to " + std::to_string(*ranked.rank_hi);
}

std::string tooltip_of(const RankReportRow& row, const RankRequest& request) {
  const int decimals = decimals_of(request.metric) + 1;
  const std::string text =
      row.name + "\n" + format_fixed(row.ranked.value, decimals) + " " + metric_words(request.metric);
  if (row.is_baseline) return text + "\na compressor";
  return text + interval_words(row.ranked.interval, request.level, decimals) + rank_words(row.ranked);
}

// The x axis of the curves: tokens where all checkpoints tell them, else steps where all do.
enum class Progress { kTokens, kSteps, kNone };

std::optional<double> progress_of(const Training& training, Progress progress) {
  const std::optional<double> value = progress == Progress::kTokens ? training.tokens : training.step;
  return value && *value > 0.0 ? value : std::nullopt;
}

struct Checkpoint {
  const RankReportRow* row;
  const Training* training;
};

std::vector<Checkpoint> checkpoints_of(const RankReportTable& table, const std::map<std::string, Training>& training) {
  std::vector<Checkpoint> all;
  for (const RankReportRow& row : table.rows) {
    const auto found = training.find(row.name);
    if (!row.is_baseline && found != training.end() && (found->second.tokens || found->second.step))
      all.push_back({&row, &found->second});
  }
  return all;
}

Progress common_progress(const std::vector<Checkpoint>& checkpoints) {
  for (const Progress progress : {Progress::kTokens, Progress::kSteps}) {
    if (std::all_of(checkpoints.begin(), checkpoints.end(),
                    [&](const Checkpoint& c) { return progress_of(*c.training, progress); }))
      return progress;
  }
  return Progress::kNone;
}

bool has_intervals(const RankReportTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [](const RankReportRow& row) { return !row.is_baseline && row.ranked.interval.has_value(); });
}

std::string curves_caption(Progress progress, const RankRequest& request, const RankReportTable& table) {
  return metric_words(request.metric) + " on " + place_words(table) + " over " +
         (progress == Progress::kTokens ? "training tokens (as each model's own tokenizer counts them)"
                                        : "training steps (whose sizes may differ)") +
         ", a line a training run" +
         (has_intervals(table) ? ", with " + percent_as_given(request.level) + " intervals" : std::string()) +
         "; dashed: what compressors need.";
}

void add_compressors(Plot& plot, const RankReportTable& table) {
  for (const RankReportRow& row : table.rows)
    if (row.is_baseline) plot.references.push_back({row.ranked.value, row.name});
}

}  // namespace

std::string file_stem(const std::string& name) {
  std::string stem;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (plain)
      stem += c;
    else if (!stem.ends_with('_'))
      stem += '_';
  }
  return stem.empty() || stem[0] == '.' ? "_" + stem : stem;
}

Figure bars_figure(const RankReportTable& table, const RankRequest& request, std::size_t most) {
  BarChart chart;
  chart.title = place_words(table) + ": " + metric_words(request.metric) + ", " + better_words(request.metric);
  chart.value_title = metric_words(request.metric);
  chart.decimals = decimals_of(request.metric);
  chart.legend = {{"models", 0}, {"compressors", kMuted}};
  std::size_t n_models = 0;
  for (const RankReportRow& row : table.rows) {
    if (!row.is_baseline && ++n_models > most) continue;
    chart.bars.push_back(
        {row.name, row.ranked.value, row.ranked.interval, row.is_baseline ? kMuted : 0, tooltip_of(row, request)});
    if (row.is_baseline) chart.bars.back().interval.reset();
  }
  std::string caption;
  if (has_intervals(table))
    caption = "Whiskers: " + percent_as_given(request.level) + " intervals over " + table.unit + "s of the text.";
  if (n_models > most)
    caption += (caption.empty() ? "The best " : " The best ") + std::to_string(most) + " of " +
               std::to_string(n_models) + " models.";
  const double height = bar_chart_height(chart);
  Drawing drawing(kWidth, height, chart.title);
  draw_bars(drawing, {0, 0, kWidth, height}, chart);
  return {"bars_" + file_stem(stem_words(table)), chart.title, caption, drawing};
}

std::optional<Figure> curves_figure(const RankReportTable& table, const RankRequest& request,
                                    const std::map<std::string, Training>& training) {
  std::vector<Checkpoint> checkpoints = checkpoints_of(table, training);
  const Progress progress = common_progress(checkpoints);
  if (progress == Progress::kNone) return std::nullopt;
  std::map<std::string, std::vector<Checkpoint>> runs;
  for (const Checkpoint& c : checkpoints) runs[c.training->run].push_back(c);
  if (checkpoints.size() < 2 || runs.size() == checkpoints.size()) return std::nullopt;

  Plot plot;
  plot.title = place_words(table) + ": " + metric_words(request.metric) + " while training";
  plot.x = {.title = progress == Progress::kTokens ? "training tokens" : "training steps",
            .scale = Scale::kLog,
            .notation = Notation::kSi};
  plot.y.title = metric_words(request.metric);
  int colour = 0;
  for (auto& [name, members] : runs) {
    std::sort(members.begin(), members.end(), [&](const Checkpoint& a, const Checkpoint& b) {
      return *progress_of(*a.training, progress) < *progress_of(*b.training, progress);
    });
    PointSeries points{.name = runs.size() <= kMostCurves ? name : "", .colour = colour};
    LineSeries line{.colour = colour++};
    for (const Checkpoint& c : members) {
      const Xy at{*progress_of(*c.training, progress), c.row->ranked.value};
      line.points.push_back(at);
      points.points.push_back({.at = at, .y = c.row->ranked.interval, .tooltip = tooltip_of(*c.row, request)});
    }
    plot.points.push_back(points);
    plot.lines.push_back(line);
  }
  add_compressors(plot, table);
  Drawing drawing(kWidth, kCurvesHeight, plot.title);
  draw_plot(drawing, {0, 0, kWidth, kCurvesHeight}, plot);
  return Figure{"curves_" + file_stem(stem_words(table)), plot.title, curves_caption(progress, request, table),
                drawing};
}

std::vector<Figure> run_figures(const RankReport& report, const std::map<std::string, Training>& training) {
  std::vector<Figure> figures;
  for (const RankReportTable* table : all_tables(report)) {
    if (table->rows.empty() || table->pooling == Pooling::kMicro) continue;
    figures.push_back(bars_figure(*table, report.request));
    if (auto curves = curves_figure(*table, report.request, training)) figures.push_back(std::move(*curves));
  }
  return figures;
}

}  // namespace lmbits
