// lmbits scores: benchmark scores of other tools, brought into one file.
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/score_files.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/report/rank_report.h"

namespace lmbits::cli {
namespace {

struct ScoresOptions {
  std::vector<std::string> files;
  std::string output, areas_file;
  bool quiet = false;
  ImportOptions import;
};

constexpr const char* kImportHelp =
    "Example:\n"
    "  lmbits scores import results/*/results_*.json -o scores.jsonl\n"
    "  lmbits scores import leaderboard.csv --percent --area knowledge -o knowledge.jsonl\n"
    "  lmbits correlate runs --scores scores.jsonl\n"
    "\n"
    "Reads, and tells apart by itself:\n"
    "  lm-eval      results_*.json, keys of 0.4 and later (\"acc,none\") and before (\"acc\"), groups\n"
    "  lighteval    results_*.json\n"
    "  helm         stats.json; model and benchmark from the folder's name, else --model, --benchmark\n"
    "  opencompass  summary CSV\n"
    "  csv          long: model, benchmark (or task), value (or score), and maybe metric, area, n, stderr\n"
    "               wide: model, a column a benchmark\n"
    "  jsonl        scores that lmbits wrote\n"
    "What has no value (\"N/A\", NaN) is left out and listed. A folder stands for the .json files below it that are "
    "results.";

// Result files below a folder, sorted; a file is itself.
std::vector<std::string> files_of(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  for (const std::string& argument : arguments) {
    if (!std::filesystem::is_directory(argument)) {
      files.push_back(argument);
      continue;
    }
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argument)) {
      const std::string name = entry.path().filename().string();
      if ((name.starts_with("results") && name.ends_with(".json")) || name == "stats.json")
        found.insert(entry.path().string());
    }
    if (found.empty())
      throw Error(ErrorKind::kData, argument + " holds no results*.json and no stats.json",
                  "name the files themselves");
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

// What was read, and what was left out: things that several files leave out alike are said once.
class ImportSummary {
 public:
  void add(const ImportedScores& imported) {
    ++n_files_;
    n_scores_ += imported.scores.size();
    formats_.insert(imported.format);
    for (const Score& score : imported.scores) {
      models_.insert(score.model);
      benchmarks_.insert(score.benchmark);
    }
    for (const std::string& what : imported.left_out) ++left_out_[what];
    warnings_.insert(imported.warnings.begin(), imported.warnings.end());
  }

  std::string text() const {
    std::string formats;
    for (const std::string& format : formats_) formats += (formats.empty() ? "" : ", ") + format;
    std::string text = count(n_files_, "file") + " (" + formats + "): " + count(n_scores_, "score") + ", " +
                       count(models_.size(), "model") + ", " + count(benchmarks_.size(), "benchmark") + "\n";
    for (const auto& [what, n] : left_out_)
      text += "  left out: " + what + (n > 1 ? " (in " + count(n, "file") + ")" : "") + "\n";
    for (const std::string& warning : warnings_) text += "  ! " + warning + "\n";
    return text;
  }

 private:
  static std::string count(std::size_t n, const std::string& noun) {
    return counted(static_cast<std::int64_t>(n), noun);
  }

  std::size_t n_files_ = 0, n_scores_ = 0;
  std::set<std::string> formats_, models_, benchmarks_, warnings_;
  std::map<std::string, std::size_t> left_out_;
};

int run_import(const ScoresOptions& options) {
  ImportOptions import = options.import;
  if (!options.areas_file.empty()) import.areas = read_map(options.areas_file, "benchmark", "area");
  std::vector<Score> scores;
  ImportSummary summary;
  for (const std::string& file : files_of(options.files)) {
    ImportedScores imported = import_scores(read_file(file), file, import);
    if (imported.scores.empty())
      throw Error(ErrorKind::kData,
                  file + " holds no score" + (imported.left_out.empty() ? "" : ": " + imported.left_out[0]),
                  "see lmbits scores import --help for the formats");
    summary.add(imported);
    scores.insert(scores.end(), imported.scores.begin(), imported.scores.end());
  }
  if (!options.quiet) std::fputs(printable_lines(summary.text()).c_str(), stderr);
  if (options.output.empty())
    print(to_jsonl(scores));
  else
    write_file_atomically(options.output, to_jsonl(scores));
  return 0;
}

}  // namespace

void add_scores(const Command& app, int& exit_code) {
  const Command command = app.add_subcommand("scores", "Bring the benchmark scores of other tools into one file");
  command.footer(kImportHelp);
  command.require_subcommand();
  const auto options = std::make_shared<ScoresOptions>();
  const Command read =
      command.add_subcommand("import", "Read results of lm-eval, lighteval, HELM, OpenCompass, or a CSV file");
  read.add_option("FILES", options->files, "Result files, or folders of them").required();
  read.add_option("-o,--output", options->output, "Write the scores here (default: standard output)");
  read.add_option("--format", options->import.format, "Take the files for this format (default: tell by looking)")
      .one_of({"auto", "lm-eval", "lighteval", "helm", "opencompass", "csv", "jsonl"});
  read.add_option("--model", options->import.model, "The model's name, in place of the file's");
  read.add_option("--benchmark", options->import.benchmark, "The benchmark's name, for HELM");
  read.add_option("--area", options->import.area, "What the benchmarks are about: the corpus they go with");
  read.add_option("--areas", options->areas_file, "CSV file with the columns benchmark, area");
  read.add_flag("--percent", options->import.percent, "CSV: values are percents");
  read.add_flag("--subtasks", options->import.subtasks, "Also the parts of groups that have a score of their own");
  read.add_flag("--quiet", options->quiet, "Do not list what was read and left out");
  read.footer(kImportHelp);
  read.callback([options, &exit_code] { exit_code = run_import(*options); });
}

}  // namespace lmbits::cli
