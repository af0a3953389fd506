// What other tools measured, as scores.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/tasks/scores.h"

namespace lmbits {

struct ImportOptions {
  std::string format = "auto";               // or one of import_formats()
  std::string model, benchmark;              // in place of the file's; the benchmark only where it names none (HELM)
  std::string area;                          // of benchmarks that `areas` does not name
  std::map<std::string, std::string> areas;  // benchmark -> area
  bool percent = false;                      // CSV: values are percents, and divided by 100
  bool subtasks = false;                     // also the parts of a group that is there as a whole
};

struct ImportedScores {
  std::string format;                 // what the file was taken for
  std::vector<Score> scores;          // in the file's order
  std::vector<std::string> left_out;  // what was not imported, and why: one text a thing
  std::vector<std::string> warnings;
};

// "lm-eval", "lighteval", "helm", "opencompass", "csv", "jsonl".
const std::vector<std::string>& import_formats();

// Reads
//   lm-eval      results_*.json, keys "acc,none" (0.4 and later) or "acc" (before): config, groups, n-samples
//   lighteval    results_*.json: config_general, results "suite|task|shots|..." or "task|shots"
//   helm         stats.json; model and benchmark from the folder's name ("mmlu:subject=law,model=gpt2"), else `options`
//   opencompass  summary CSV: dataset, version, metric, mode, a column a model; percents
//   csv          long (model, benchmark or task, value or score, and maybe metric, area, n, stderr), or wide (model, a
//                column a benchmark; "average", "family", "parameters" and bits per something are no benchmarks)
//   jsonl        lmbits' own
// `source` is the file's path. "N/A", NaN and null are left out and named. Throws Error(kData) that names the key or
// the line for anything else that is not what the format says, and where a file is of no known format.
ImportedScores import_scores(std::string_view text, const std::string& source, const ImportOptions& options);

}  // namespace lmbits
