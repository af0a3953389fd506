#include "src/nightly/history_pages.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/report/history_points.h"
#include "src/report/html.h"
#include "src/report/plot.h"
#include "src/report/table.h"
#include "src/store/history.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRunsShown = 500, kMostRuns = 100000, kDocumentsShown = 1000;
constexpr double kWidth = 760, kHeight = 340;

struct NightFile {
  const char* path;
  const char* name;
  const char* type;
};
constexpr NightFile kNightFiles[] = {
    {"/night", "index.html", "text/html; charset=utf-8"},
    {"/latest.json", "latest.json", "application/json"},
    {"/junit.xml", "junit.xml", "application/xml"},
    {"/metrics", "metrics.prom", "text/plain; version=0.0.4"},
};

std::optional<std::int64_t> number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::string value_of(const Query& query, const char* key) {
  const auto found = query.find(key);
  return found == query.end() ? "" : found->second;
}

HistoryFilter filter_of(const Query& query) {
  HistoryFilter filter{.model = value_of(query, "model"),
                       .corpus = value_of(query, "corpus"),
                       .convention = value_of(query, "convention"),
                       .last = kRunsShown};
  if (const std::string last = value_of(query, "last"); !last.empty()) {
    const auto n = number(last);
    if (!n || *n > kMostRuns)
      throw Error(ErrorKind::kUsage, "last is \"" + last + "\"", "a number from 1 to " + std::to_string(kMostRuns));
    filter.last = *n;
  }
  return filter;
}

Table runs_table(const std::vector<HistoryRun>& runs) {
  Table table;
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "page", .title = "page", .align = Align::kLeft},
                   {.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "step", .title = "step"},
                   {.key = "bits_per_byte", .title = "bits/byte ↓"},
                   {.key = "interval", .title = "95 %", .interval = true},
                   {.key = "n_documents", .title = "documents"},
                   {.key = "n_failed", .title = "failed"},
                   {.key = "convention", .title = "convention", .align = Align::kLeft},
                   {.key = "started", .title = "started (UTC)", .align = Align::kLeft}};
  for (const HistoryRun& run : runs) {
    table.rows.push_back(
        {{run.model, "/run/" + std::to_string(run.id), run.corpus, cell_of(run.step), cell_of(run.bits_per_byte),
          cell_of(interval_of(run)), run.n_documents, run.n_failed, run.convention, run.started}});
  }
  return table;
}

// A corpus' runs in the order in which they started.
Drawing trend(const std::string& corpus, const std::vector<const HistoryRun*>& runs) {
  Plot plot;
  plot.title = corpus + ": bits/byte, run after run";
  plot.x = {.title = "run, in the order of starting"};
  plot.y = {.title = "bits/byte"};
  PointSeries points;
  LineSeries line{.colour = 0, .thin = true};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    if (!runs[k]->bits_per_byte) continue;
    points.points.push_back(point_of(*runs[k], k + 1));
    line.points.push_back(points.points.back().at);
  }
  Drawing drawing(kWidth, kHeight, plot.title);
  if (points.points.empty()) return drawing;
  plot.points.push_back(std::move(points));
  plot.lines.push_back(std::move(line));
  draw_plot(drawing, {0, 0, kWidth, kHeight}, plot);
  return drawing;
}

Page front_page(const History& history, const Query& query) {
  const std::vector<HistoryRun> runs = history.runs(filter_of(query));
  HtmlPage page("lmbits: the history");
  page.section("Runs");
  page.paragraph(std::to_string(runs.size()) + (runs.size() == 1 ? " run" : " runs") +
                 ". The address chooses others: ?corpus=prose&model=run-*&last=50. Each row names its page.");
  page.table(runs_table(runs));
  std::map<std::string, std::vector<const HistoryRun*>> by_corpus;
  for (const HistoryRun& run : runs) by_corpus[run.corpus].push_back(&run);
  page.section("Run after run");
  for (auto& [corpus, of] : by_corpus) {
    std::stable_sort(of.begin(), of.end(), [](const auto* a, const auto* b) { return a->started < b->started; });
    page.figure(trend(corpus, of), "Bars are each run's own interval; differences of paired runs are much surer.");
  }
  return {.body = page.html()};
}

std::optional<Page> run_page(const History& history, const std::string& id) {
  const auto wanted = number(id);
  if (!wanted) return std::nullopt;
  if (!history.has_run(*wanted)) return std::nullopt;
  const Run run = history.run(*wanted);
  std::vector<const DocumentRecord*> records;
  for (const DocumentRecord& record : run.records) records.push_back(&record);
  const auto rate = [](const DocumentRecord& r) { return r.n_bytes > 0 ? r.bits / static_cast<double>(r.n_bytes) : 0; };
  std::stable_sort(records.begin(), records.end(), [&](const auto* a, const auto* b) { return rate(*a) > rate(*b); });
  Table table;
  table.columns = {{.key = "id", .title = "document", .align = Align::kLeft},
                   {.key = "bytes", .title = "bytes"},
                   {.key = "bits", .title = "bits", .decimals = 1},
                   {.key = "bits_per_byte", .title = "bits/byte ↓"},
                   {.key = "error", .title = "failed", .align = Align::kLeft}};
  for (const DocumentRecord* r : records) {
    if (static_cast<std::int64_t>(table.rows.size()) == kDocumentsShown) break;
    table.rows.push_back({{r->id, r->n_bytes, r->bits, r->n_bytes > 0 ? Cell(rate(*r)) : Cell(), r->error}});
  }
  const auto text = [&](const char* key) { return run.summary.value(key, std::string("?")); };
  HtmlPage page("lmbits: " + text("model") + " on " + text("corpus"));
  page.section("Documents of " + text("model") + " on " + text("corpus"));
  page.paragraph(std::to_string(records.size()) + " documents, the costliest a byte first" +
                 (table.rows.size() < records.size() ? "; " + std::to_string(table.rows.size()) + " are shown." : "."));
  page.table(table);
  page.details("summary", run.summary.dump(2, ' ', false, Json::error_handler_t::replace));
  return Page{.body = page.html()};
}

}  // namespace

std::optional<Page> history_page(const fs::path& database, const std::string& path, const Query& query) {
  for (const NightFile& file : kNightFiles) {
    if (path != file.path) continue;
    const fs::path at = database.parent_path() / file.name;
    if (!fs::exists(at)) return std::nullopt;
    return Page{.type = file.type, .body = read_file(at)};
  }
  constexpr std::string_view kRun = "/run/";
  if (path != "/" && path != "/api/runs" && !path.starts_with(kRun)) return std::nullopt;
  const History history(database, Sqlite::Access::kRead);
  if (path == "/") return front_page(history, query);
  if (path == "/api/runs")
    return Page{.type = "application/json", .body = to_json(runs_table(history.runs(filter_of(query)))).dump(2) + "\n"};
  return run_page(history, path.substr(kRun.size()));
}

}  // namespace lmbits
