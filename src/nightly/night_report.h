// What a night found, and what it tells people and machines.
#pragma once
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/nightly/judge.h"
#include "src/nightly/watch.h"
#include "src/report/run_report.h"

namespace lmbits {

struct NightReport {
  std::string night;                       // UTC, when it began
  std::vector<WatchedCheckpoint> waiting;  // not ready yet
  std::vector<std::string> scored;         // models, new tonight
  std::vector<Judgement> judgements;       // of tonight
  std::vector<std::string> failures;       // models, runs or tasks that failed, and why
  std::vector<std::string> notes;          // a history made again, a lease taken over
  std::vector<JudgedModel> models;         // all in the history, as trend lines show them
  int exit_code = 0;
  double wall_s = 0.0;
};

// "no new checkpoint" ... in a few lines.
std::string to_text(const NightReport& report);
Json to_json(const NightReport& report);
// A test case a checkpoint and corpus: failed where a regression was found, an error where it could not be scored.
std::string to_junit(const NightReport& report);
// The text format that node_exporter's textfile collector reads; one sample a model and corpus.
std::string to_prometheus(const NightReport& report);
// Sections for the page of all runs: tonight's verdicts, and bits/byte of every checkpoint in the order they were scored.
std::vector<ReportSection> to_sections(const NightReport& report);

}  // namespace lmbits
