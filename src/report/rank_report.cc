#include "src/report/rank_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/core/json.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

std::string rank_text(const RankReportRow& row) {
  const RankedModel& r = row.ranked;
  if (row.is_baseline) return "";
  const std::string mark = r.tied_with_best && r.rank_hi && (r.rank > 1 || *r.rank_hi > 1) ? " ≈" : "";
  if (!r.rank_lo || *r.rank_lo == *r.rank_hi) return std::to_string(r.rank) + mark;
  return std::to_string(*r.rank_lo) + "-" + std::to_string(*r.rank_hi) + mark;
}

TableColumn for_machines(const std::string& key) { return {.key = key, .title = key, .audience = Audience::kMachines}; }

std::optional<double> metric_of(const RankReportRow& row, Metric metric) {
  return metric == Metric::kBitsPerByte   ? row.bits_per_byte
         : metric == Metric::kBitsPerChar ? row.bits_per_char
                                          : row.ratio;
}

int decimals_of(Metric metric) { return metric == Metric::kRatio ? 3 : 4; }

std::vector<Metric> metrics_by(Metric first) {
  std::vector<Metric> metrics{first};
  for (const Metric m : {Metric::kBitsPerByte, Metric::kBitsPerChar, Metric::kRatio}) {
    if (m != first) metrics.push_back(m);
  }
  return metrics;
}

Table empty_table(const RankRequest& request, bool documents) {
  Table table;
  for (const char* key : {"corpus", "convention", "pooling", "kind", "rank", "rank_lo", "rank_hi"}) {
    table.columns.push_back(for_machines(key));
  }
  table.columns.push_back({.key = "", .title = "rank", .align = Align::kRight, .audience = Audience::kPeople});
  table.columns.push_back({.key = "name", .title = "model", .align = Align::kLeft});
  const std::string level = "[" + percent_as_given(request.level) + "]";
  for (const Metric metric : metrics_by(request.metric)) {
    table.columns.push_back(
        {.key = metric_key(metric), .title = metric_title(metric), .decimals = decimals_of(metric)});
    if (metric != request.metric) continue;
    table.columns.push_back(
        {.key = "interval", .title = level, .decimals = decimals_of(metric), .interval = true, .joined = true});
  }
  const int decimals = decimals_of(request.metric);
  table.columns.push_back({.key = "difference", .title = "to best", .decimals = decimals, .sign = true});
  table.columns.push_back({.key = "difference_interval",
                           .title = level,
                           .decimals = decimals,
                           .sign = true,
                           .interval = true,
                           .joined = true});
  table.columns.push_back(for_machines("tied_with_best"));
  for (const char* key : {"n_scored", "n_failed"}) table.columns.push_back(for_machines(key));
  const Audience audience = documents ? Audience::kPeople : Audience::kNone;
  table.columns.push_back({.key = "", .title = "docs", .audience = audience});
  return table;
}

std::string pooling_key(std::optional<Pooling> pooling) {
  return !pooling ? "" : *pooling == Pooling::kMicro ? "micro" : "macro";
}

const RankReportRow* best_of(const RankReportTable& table) {
  const auto best =
      std::find_if(table.rows.begin(), table.rows.end(), [](const RankReportRow& r) { return !r.is_baseline; });
  return best == table.rows.end() ? nullptr : &*best;
}

template <typename T>
std::optional<T> if_any(const T& value) {
  return value.empty() ? std::nullopt : std::optional(value);
}

// "74/75": one of 75 documents failed.
std::optional<std::string> documents_text(const RankReportRow& row) {
  if (!row.n_scored || !row.n_failed) return std::nullopt;
  return std::to_string(*row.n_scored) + "/" + std::to_string(*row.n_scored + *row.n_failed);
}

std::vector<Cell> cells_of(const RankReportRow& row, const RankReportTable& from, const RankRequest& request) {
  const RankedModel& r = row.ranked;
  const bool is_best = &row == best_of(from);
  const auto if_model = [&](auto value) { return row.is_baseline ? std::nullopt : std::optional(value); };
  std::vector<Cell> cells;
  const auto add = [&](const auto& value) {
    cells.emplace_back();
    if (value) cells.back() = *value;
  };
  add(if_any(from.corpus));
  add(if_any(from.convention));
  add(if_any(pooling_key(from.pooling)));
  add(std::optional<std::string>(row.is_baseline ? "baseline" : "model"));
  add(if_model(r.rank));
  add(r.rank_lo);
  add(r.rank_hi);
  add(std::optional(rank_text(row)));
  add(std::optional(row.name));
  for (const Metric metric : metrics_by(request.metric)) {
    add(metric_of(row, metric));
    if (metric == request.metric) add(row.is_baseline ? std::nullopt : r.interval);
  }
  add(std::optional(r.difference));
  add(is_best ? std::nullopt : r.difference_interval);
  add(if_model(r.tied_with_best));
  add(row.n_scored);
  add(row.n_failed);
  add(documents_text(row));
  return cells;
}

void append_rows(Table& table, const RankReportTable& from, const RankRequest& request) {
  for (const RankReportRow& row : from.rows) {
    const Emphasis emphasis = row.is_baseline                                     ? Emphasis::kFaint
                              : row.ranked.rank == 1 || row.ranked.tied_with_best ? Emphasis::kStrong
                                                                                  : Emphasis::kNone;
    table.rows.push_back({cells_of(row, from, request), emphasis});
  }
}

// Documents are a column only where some failed; else the heading says it all.
bool shows_documents(const RankReportTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [](const RankReportRow& row) { return row.n_failed.value_or(0) > 0; });
}

// A row's interval and value as a picture: "  ├─●─┤   ".
std::string plot_row(const RankReportRow& row, double lo, double hi, std::size_t width) {
  const auto place = [&](double x) {
    const double share = hi > lo ? (x - lo) / (hi - lo) : 0.5;
    return static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width - 1)));
  };
  std::vector<std::string> cells(width, " ");
  if (row.ranked.interval && !row.is_baseline) {
    for (std::size_t i = place(row.ranked.interval->lo); i <= place(row.ranked.interval->hi); ++i) cells[i] = "─";
  }
  cells[place(row.ranked.value)] = row.is_baseline ? "×" : "●";
  std::string text;
  for (const std::string& cell : cells) text += cell;
  return text;
}

constexpr std::size_t kNarrowestPlot = 12, kWidestPlot = 40;

// What a terminal had no room for.
struct LeftOut {
  std::vector<std::string> names;  // of columns, as the legend says them
  std::size_t plot_width = 0;      // of a terminal that takes the widest table and its plot; 0: none was left out

  void add(const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
};

// The numbers are what was asked for: leaves out the differences' intervals first, then the differences, and what is the
// same in other units last, until the text is no wider than `width`.
void narrow(Table& table, const RankRequest& request, std::size_t width, LeftOut& left_out) {
  std::vector<std::pair<std::string, std::string>> keys_and_names = {
      {"difference_interval", "intervals of the differences"}, {"difference", "differences to the best"}};
  for (const Metric metric : metrics_by(request.metric)) {
    if (metric == request.metric) continue;
    const std::string title = metric_title(metric);  // "ratio ↑"; the last ones go first
    keys_and_names.insert(keys_and_names.begin() + 2, {metric_key(metric), title.substr(0, title.find(' '))});
  }
  for (const auto& [key, name] : keys_and_names) {
    for (TableColumn& column : table.columns) {
      if (column.key != key || text_width(table) <= width) continue;
      column.audience = Audience::kMachines;
      left_out.add(name);
    }
  }
}

// Where the numbers leave room.
void append_plot(Table& table, const RankReportTable& from, std::size_t terminal_width, int decimals,
                 LeftOut& left_out) {
  const std::size_t used = text_width(table) + 2;
  if (from.rows.size() < 2) return;
  if (terminal_width < used + kNarrowestPlot) {
    left_out.plot_width = std::max(left_out.plot_width, used + kNarrowestPlot);
    return;
  }
  const std::size_t width = std::min(kWidestPlot, terminal_width - used);
  double lo = std::numeric_limits<double>::infinity(), hi = -lo;
  for (const RankReportRow& row : from.rows) {
    const Interval spread = row.is_baseline
                                ? Interval{row.ranked.value, row.ranked.value}
                                : row.ranked.interval.value_or(Interval{row.ranked.value, row.ranked.value});
    lo = std::min({lo, spread.lo, row.ranked.value});
    hi = std::max({hi, spread.hi, row.ranked.value});
  }
  const std::string left = format_fixed(lo, std::min(decimals, 2)), right = format_fixed(hi, std::min(decimals, 2));
  if (left.size() + right.size() + 1 > width) return;
  const std::string title = left + std::string(width - left.size() - right.size(), ' ') + right;
  table.columns.push_back({.key = "", .title = title, .align = Align::kLeft, .audience = Audience::kPeople});
  for (std::size_t i = 0; i < from.rows.size(); ++i)
    table.rows[i].cells.emplace_back(plot_row(from.rows[i], lo, hi, width));
}

std::string left_out_text(const LeftOut& left_out, std::size_t width) {
  std::string text;
  for (const std::string& name : left_out.names)
    text += (text.empty() ? "Left out at " + std::to_string(width) + " columns: " : ", ") + name;
  if (!text.empty()) return text + "; a wider terminal shows them, --format markdown, csv and json have them.";
  if (left_out.plot_width == 0) return "";
  return "A terminal of " + std::to_string(left_out.plot_width) + " columns has a plot, too.";
}

}  // namespace

std::vector<const RankReportTable*> all_tables(const RankReport& report) {
  std::vector<const RankReportTable*> all;
  for (const RankReportTable& table : report.tables) all.push_back(&table);
  for (const RankReportTable& table : report.overall) all.push_back(&table);
  return all;
}

Table table_of(const RankReportTable& from, const RankRequest& request) {
  Table table = empty_table(request, shows_documents(from));
  append_rows(table, from, request);
  return table;
}

std::string heading(const RankReportTable& table) {
  std::string text = printable(table.corpus);
  if (table.pooling) {
    const bool categories = !table.corpus.empty();
    text = categories ? text + " by category, " : "overall, ";
    text += *table.pooling == Pooling::kMicro ? "micro (all bits / all bytes)"
            : categories                      ? "macro (the categories' mean)"
                                              : "macro (the corpora's mean)";
    for (const std::string& corpus : table.pooled)
      text += (&corpus == table.pooled.data() ? " · " : ", ") + printable(corpus);
  }
  text += " · " + printable(table.convention) + " · " + counted(table.n_documents, "document");
  return table.pooling ? text : text + " · " + counted(table.n_bytes, "byte");
}

std::string legend(const RankReport& report) {
  const RankRequest& request = report.request;
  return "↓ lower is better, ↑ higher is better. Intervals: " + percent_as_given(request.level) + " " +
         (request.method == IntervalMethod::kBca ? "BCa" : "percentile") + " bootstrap, " +
         with_thousands(request.n_resamples) + " resamples (seed " + std::to_string(request.seed) +
         "), the same for all models of a corpus. rank a-b: where it lies at that level; ≈ tied with the best: the "
         "interval of the paired difference includes 0. Rows without a rank are compressors. Model weights are not "
         "counted.";
}

std::string to_text(const RankReport& report, const TextStyle& style) {
  std::string text;
  LeftOut left_out;
  for (const RankReportTable* from : all_tables(report)) {
    Table table = table_of(*from, report.request);
    narrow(table, report.request, style.width, left_out);
    append_plot(table, *from, style.width, decimals_of(report.request.metric), left_out);
    const std::string title = wrapped(heading(*from), style.width, 2);
    text += style.color ? "\x1b[1m" + title + "\x1b[0m" : title;
    if (!from->rows.empty()) text += to_text(table, style);
    for (const std::string& warning : from->warnings) text += wrapped("  ! " + printable(warning), style.width, 4);
    text += "\n";
  }
  for (const std::string& warning : report.warnings) text += wrapped("! " + printable(warning), style.width, 2);
  const std::string missing = left_out_text(left_out, style.width);
  return text + wrapped(legend(report) + (missing.empty() ? "" : " " + missing), style.width, 0);
}

std::string to_markdown(const RankReport& report) {
  std::string text;
  for (const RankReportTable* from : all_tables(report)) {
    text += "### " + heading(*from) + "\n\n";
    if (!from->rows.empty()) text += to_markdown(table_of(*from, report.request)) + "\n";
    for (const std::string& warning : from->warnings) text += "- " + printable(warning) + "\n";
    if (!from->warnings.empty()) text += "\n";
  }
  for (const std::string& warning : report.warnings) text += "- " + printable(warning) + "\n";
  return text + legend(report) + "\n";
}

std::string to_csv(const RankReport& report) {
  Table table = empty_table(report.request, true);
  for (const RankReportTable* from : all_tables(report)) append_rows(table, *from, report.request);
  return to_csv(table);
}

Json to_json(const RankReport& report) {
  const RankRequest& request = report.request;
  Json json{{"schema", 1},
            {"by", metric_key(request.metric)},
            {"direction", higher_is_better(request.metric) ? "higher is better" : "lower is better"},
            {"level", request.level},
            {"method", request.method == IntervalMethod::kBca ? "bca" : "percentile"},
            {"resamples", request.n_resamples},
            {"seed", request.seed},
            {"tables", Json::array()}};
  for (const RankReportTable* from : all_tables(report)) {
    json["tables"].push_back({{"corpus", from->corpus.empty() ? Json(nullptr) : Json(printable(from->corpus))},
                              {"convention", printable(from->convention)},
                              {"pooling", from->pooling ? Json(pooling_key(from->pooling)) : Json(nullptr)},
                              {"n_documents", from->n_documents},
                              {"n_bytes", from->n_bytes},
                              {"unit", from->unit},
                              {"n_units", from->n_units},
                              {"rows", to_json(table_of(*from, request))},
                              {"warnings", Json::array()}});
    for (const std::string& warning : from->warnings) json["tables"].back()["warnings"].push_back(printable(warning));
  }
  json["warnings"] = Json::array();
  for (const std::string& warning : report.warnings) json["warnings"].push_back(printable(warning));
  return json;
}

}  // namespace lmbits
