#include "src/report/reference_lines.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "src/core/json.h"
#include "src/report/pairing.h"
#include "src/report/published_tables.h"

namespace lmbits {
namespace {

constexpr double kBytesAParameter = 2.0;
constexpr double kPublishedBytes = 1e9;  // enwik9

// "Llama 2 (7B)" -> 7e9, "Transformer 200K" -> 2e5.
std::optional<double> published_parameters(const std::string& name) {
  if (name.ends_with('K')) {
    const std::size_t space = name.rfind(' ');
    return space == std::string::npos ? std::nullopt : std::optional(1e3 * std::stod(name.substr(space + 1)));
  }
  return parameters_in_name(name);
}

void add_published(ReferenceLines& report) {
  const CsvTable csv = published_table("deletang2023_table1_compression_rates");
  const std::size_t chunk = *csv.find("chunk_bytes"), name = *csv.find("compressor"), raw = *csv.find("raw_enwik9_pct"),
                    adjusted = *csv.find("adj_enwik9_pct");
  for (const CsvRow& row : csv.rows) {
    RateLine line;
    line.name = row.cells[name];
    line.text = row.cells[chunk] == "inf" ? "enwik9, one stream" : "enwik9, chunks of " + row.cells[chunk] + " bytes";
    line.published = true;
    line.rate = *csv_number(csv, row, raw) / 100.0;
    line.adjusted = *csv_number(csv, row, adjusted) / 100.0;
    if (const auto parameters = published_parameters(line.name))
      line.computed = line.rate + kBytesAParameter * *parameters / kPublishedBytes;
    report.lines.push_back(line);
  }
}

void add_run(const Run& run, ReferenceLines& report) {
  const Json ratio = run.summary.value("ratio", Json()), n_bytes = run.summary.value("n_bytes", Json());
  if (!ratio.is_number() || ratio.get<double>() <= 0.0) return;
  RateLine line;
  line.name = model_name(run);
  line.text = corpus_name(run) + ", " + convention_name(run);
  line.rate = 1.0 / ratio.get<double>();
  const Json parameters = run.manifest.value("/model/metadata/parameters/total"_json_pointer, Json());
  if (parameters.is_number() && n_bytes.is_number() && n_bytes.get<double>() > 0.0)
    line.adjusted = line.rate + kBytesAParameter * parameters.get<double>() / n_bytes.get<double>();
  report.lines.push_back(line);
}

std::size_t n_disagreeing(const ReferenceLines& report) {
  return static_cast<std::size_t>(std::count_if(report.lines.begin(), report.lines.end(), [](const RateLine& line) {
    return line.computed &&
           std::abs(*line.computed - *line.adjusted) > 0.001 + 1e-9;  // both printed with one decimal of a percent
  }));
}

Table lines_table(const ReferenceLines& report, double scale) {
  Table table;
  table.columns = {{.key = "name", .title = "compressor", .align = Align::kLeft},
                   {.key = "text", .title = "text", .align = Align::kLeft},
                   {.key = "kind", .title = "", .align = Align::kLeft, .audience = Audience::kMachines},
                   {.key = "rate", .title = "rate %", .decimals = 1},
                   {.key = "adjusted", .title = "with weights %", .decimals = 1},
                   {.key = "computed", .title = "computed %", .decimals = 1}};
  for (const RateLine& line : report.lines) {
    const auto scaled = [&](const std::optional<double>& value) {
      return value ? Cell(scale * *value) : Cell(std::monostate{});
    };
    table.rows.push_back({{line.name, line.text, std::string(line.published ? "published" : "run"), scale * line.rate,
                           scaled(line.adjusted), scaled(line.computed)},
                          line.published ? Emphasis::kFaint : Emphasis::kStrong});
  }
  return table;
}

}  // namespace

ReferenceLines reference_lines(const std::vector<Run>& runs) {
  ReferenceLines report;
  add_published(report);
  bool own = false;
  for (const Run& run : runs) {
    if (run.summary.is_null()) continue;
    add_run(run, report);
    own = true;
  }
  std::stable_sort(report.lines.begin(), report.lines.end(),
                   [](const RateLine& a, const RateLine& b) { return a.rate < b.rate; });
  if (own)
    report.notes.push_back(
        "the published lines are of enwik9 (1e9 bytes of Wikipedia): another text has other rates, so they are for "
        "orientation only");
  return report;
}

std::string to_text(const ReferenceLines& report, const TextStyle& style) {
  std::string text = "Delétang et al. 2023, \"Language Modeling is Compression\" (arXiv:2309.10668), Table 1\n" +
                     to_text(lines_table(report, 100.0), style) + "\n";
  const std::size_t n = n_disagreeing(report);
  text += wrapped(
      "With weights: 2 bytes a parameter count as compressed; printed for published rows, and computed beside it from "
      "the name's parameters over 1e9 bytes: " +
          (n == 0 ? std::string("all agree within the rounding of the printed rates.")
                  : std::to_string(n) + " differ by more than the rounding of the printed rates."),
      style.width, 0);
  for (const std::string& note : report.notes) text += wrapped("! " + printable(note), style.width, 2);
  return text;
}

Json to_json(const ReferenceLines& report) {
  return {
      {"schema", 1}, {"name", "deletang2023"}, {"lines", to_json(lines_table(report, 1.0))}, {"notes", report.notes}};
}

}  // namespace lmbits
