// lmbits compare: did it get better or worse, paired by document?
#include <filesystem>
#include <memory>
#include <set>

#include "src/cli/bootstrap_flags.h"
#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/share.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/compare_report.h"
#include "src/report/pairing.h"
#include "src/store/run_directory.h"

namespace lmbits::cli {
namespace {

struct CompareOptions {
  std::string base, next, directory, max_regression;
  bool json = false;
  CompareRequest request;
};

constexpr const char* kCompareHelp =
    "Example:\n"
    "  lmbits compare last-night tonight --dir runs\n"
    "  lmbits compare runs/a__novel__default runs/b__novel__default --max-regression 0.2%\n"
    "\n"
    "BASE and NEW are run folders, folders of runs of one model, or (with --dir) models' names. Documents are paired, "
    "so\n"
    "even small differences show. With --max-regression P the command is a gate: it exits with 9 when bits/byte rose "
    "by\n"
    "more than P and the interval of the rise is above 0. A rise above P whose interval includes 0 may be noise and\n"
    "passes, and the report says about how many documents would settle it. With several corpora each is gated, and "
    "all\n"
    "their text together, at a level raised so that the whole gate keeps to the level asked for.";

std::vector<Run> runs_of(const std::string& name, const std::vector<Run>& in_directory) {
  std::vector<Run> found;
  std::set<std::string> models;
  for (const Run& run : in_directory) {
    models.insert(model_name(run));
    if (model_name(run) == name) found.push_back(run);
  }
  if (!found.empty()) return found;
  if (std::filesystem::exists(name)) return read_runs(name);
  std::string hint = "give a run folder, or a model's name with --dir";
  for (const std::string& model : models) hint += (&model == &*models.begin() ? "; --dir holds " : ", ") + model;
  throw Error(ErrorKind::kData, name + " is neither a folder nor a model of --dir", hint);
}

bool run_compare(const CompareOptions& options) {
  CompareRequest request = options.request;
  request.n_threads = available_threads();
  if (!options.max_regression.empty()) request.max_regression = parse_share(options.max_regression, "--max-regression");
  const std::vector<Run> all = options.directory.empty() ? std::vector<Run>{} : read_runs(options.directory);
  const CompareReport report = compare_runs(runs_of(options.base, all), runs_of(options.next, all), request);
  print(options.json ? to_json(report).dump(2) + "\n" : to_text(report, stdout_style()));
  return report.regression;
}

}  // namespace

void add_compare(const Command& app, int& exit_code) {
  const auto options = std::make_shared<CompareOptions>();
  const Command command =
      app.add_subcommand("compare", "Compare two scored models, paired by document; gate regressions");
  command.add_option("BASE", options->base, "What was: a run folder, a folder of runs of one model, or a model's name")
      .required();
  command.add_option("NEW", options->next, "What is now, given likewise").required();
  command.add_option("--dir", options->directory, "The folder that holds the runs of models given by name");
  command.add_option("--max-regression", options->max_regression,
                     "Exit with 9 when bits/byte rose by more than this: 0.2% or 0.002");
  CompareRequest& request = options->request;
  add_bootstrap_flags(command, request.level, request.n_resamples, request.seed);
  command.add_flag("--json", options->json, "JSON instead of text");
  command.footer(kCompareHelp);
  command.callback([options, &exit_code] {
    if (run_compare(*options)) exit_code = kExitRegression;
  });
}

}  // namespace lmbits::cli
