// `lmbits report`: all that a folder of runs says, as one HTML page, markdown, CSV or JSON.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json.h"
#include "src/report/rank_runs.h"
#include "src/report/run_figures.h"
#include "src/report/table.h"
#include "src/store/training.h"

namespace lmbits {

struct RunReport {
  RankReport ranking;
  std::optional<RankReport> categories;      // rank_categories
  std::map<std::string, Training> training;  // by model
  std::vector<Json> manifests;               // of every run, ranked or not
  Table models, runs;                        // what is known of each: provenance
  Table contamination;                       // of the runs that were checked against training texts
  std::vector<std::string> warnings;         // of the runs themselves, with the runs that have them
};

// Throws Error as rank_runs does.
RunReport report_runs(const std::vector<Run>& runs, const RankRequest& request);

struct TitledTable {
  std::string title;
  Table table;
};

// A part of the page that other commands' numbers make: a heading, what it says, pictures, a table.
struct ReportSection {
  std::string title;
  std::vector<std::string> paragraphs, warnings;
  std::vector<Figure> figures;
  std::optional<Table> table;
  std::vector<TitledTable> more = {};  // tables beneath it
};

struct PageOptions {
  std::string title;
  std::string origin;  // the program, its version and the command, for the foot of the page
};

std::string to_html(const RunReport& report, const std::vector<ReportSection>& sections, const PageOptions& options);
std::string to_markdown(const RunReport& report, const std::vector<ReportSection>& sections);  // without figures
std::string to_csv(const RunReport& report);  // to_csv of the ranking, then the categories' rows
Json to_json(const RunReport& report, const std::vector<ReportSection>& sections);

// One row a model: its value overall with interval and rank, and on every corpus; a table a convention.
std::vector<Table> leaderboards(const RunReport& report);

}  // namespace lmbits
