// lmbits nightly: what is new in the watched folders, what does it score, did anything regress?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>

#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/score_files.h"
#include "src/cli/stdout_style.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/core/utc.h"
#include "src/nightly/lease.h"
#include "src/nightly/night_report.h"
#include "src/store/record_log.h"

namespace lmbits::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits nightly night.json\n"
    "\n"
    "with, in night.json:\n"
    "  {\n"
    "    \"watch\": [\"checkpoints/*/model.pt\"],   which files are checkpoints\n"
    "    \"ready\": \"READY\",                      a file beside one that says it is whole; \"{}.done\" has its "
    "name;\n"
    "                                           without: it has not changed for \"settle_s\" (60) seconds\n"
    "    \"corpora\": [{\"name\": \"prose\", \"path\": \"prose.txt\", \"split\": \"4096\"}],\n"
    "    \"tasks\": [\"questions.jsonl\"],          for lmbits choice\n"
    "    \"baseline\": \"previous\",                of the same training run; \"best\"; or a model's name\n"
    "    \"alpha\": 0.05,                         the chance of a false alarm a night, at most\n"
    "    \"max_regression\": 0.002,               an increase of bits/byte by 0.2 % is no alarm\n"
    "    \"output\": \"nightly\"                    runs, history.sqlite, index.html, latest.json, junit.xml, "
    "metrics.prom\n"
    "  }\n"
    "\n"
    "Also: name (bundle, stem, folder: what a model is called), convention, dtype, device, threads. Paths are relative "
    "to\n"
    "the file. A night that was stopped or killed is gone on with by the next. Only one runs at a time, on all nodes "
    "that\n"
    "see the output folder. Exit codes: 0 nothing got worse, 9 a regression, 10 a checkpoint failed, 130 interrupted;\n"
    "the others as everywhere.";

struct NightlyFlags {
  std::string config;
  bool quiet = false, json = false;
};

// Progress on the terminal; failures for the report.
class NightObserver final : public EvalObserver {
 public:
  NightObserver(bool quiet, std::vector<std::string>& failures)
      : progress_(make_progress(quiet)), failures_(failures) {}
  ~NightObserver() override { progress_->end(); }

  void run_started(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t n_bytes_done) override {
    n_bytes_ = 0;
    progress_->begin({.label = name, .unit = "B", .total = n_bytes, .already_done = n_bytes_done});
  }
  void run_progress(const ScoreProgress& now) override {
    progress_->advance(now.n_bytes_now - n_bytes_);
    n_bytes_ = now.n_bytes_now;
  }
  void run_finished(const std::string&, const Json&, bool) override { progress_->end(); }
  void run_failed(const std::string& name, const Error& error) override {
    failures_.push_back(name + ": " + error.what());
  }
  void model_failed(const std::string& model, const Error& error) override {
    failures_.push_back(model + ": " + error.what());
  }

 private:
  std::unique_ptr<Progress> progress_;
  std::vector<std::string>& failures_;
  std::int64_t n_bytes_ = 0;
};

class Night {
 public:
  Night(const NightlyConfig& config, bool quiet)
      : config_(config), quiet_(quiet), began_(std::chrono::steady_clock::now()) {
    fs::create_directories(config.output);
    std::string note;
    lease_ = std::make_unique<Lease>(config.output / "nightly.lease", LeaseOptions{}, note);
    if (!note.empty()) report_.notes.push_back(note);
    report_.night = utc_now();
  }

  const NightReport& run() {
    score_new();
    if (stop_requested()) {
      report_.exit_code = kExitInterrupted;
      return report_;
    }
    std::string note;
    const auto history = open_or_rebuild_history(config_.output / "history.sqlite", {runs()}, note);
    if (!note.empty()) report_.notes.push_back(note);
    if (fs::exists(runs())) take_over(*history);
    judge(*history);
    return report_;
  }

 private:
  fs::path runs() const { return config_.output / "runs"; }

  // What decides whether a checkpoint was dealt with: scored on other corpora, it is new.
  std::string work() const {
    Fingerprint work;
    for (const CorpusSpec& corpus : config_.corpora)
      work.add(corpus.name + "\n" + corpus.path + "\n" + corpus.field + "\n" + corpus.split + "\n");
    for (const std::string& task : config_.tasks) work.add(task + "\n");
    return work.add(config_.convention.name + "\n" + config_.dtype).hex();
  }

  void score_new() {
    RecordLog log(config_.output / "checkpoints.jsonl", Json::object(), [](const Json&) { return true; });
    std::set<std::string> dealt_with;
    for (const Json& record : log.done()) {
      dealt_with.insert(record.value("path", "") + "\n" + record.value("stamp", "") + "\n" + record.value("work", ""));
    }
    for (const WatchedCheckpoint& checkpoint : find_checkpoints(config_)) {
      if (dealt_with.contains(checkpoint.path + "\n" + checkpoint.stamp + "\n" + work())) continue;
      if (!checkpoint.waiting.empty()) {
        report_.waiting.push_back(checkpoint);
      } else if (score(checkpoint)) {
        report_.scored.push_back(checkpoint.model);
        log.append(
            {{"path", checkpoint.path}, {"stamp", checkpoint.stamp}, {"work", work()}, {"night", report_.night}});
      }
      if (stop_requested()) return;
    }
  }

  // False where it failed, or was interrupted: then the next night tries again.
  bool score(const WatchedCheckpoint& checkpoint) {
    const int n_threads = config_.threads > 0 ? config_.threads : available_threads();
    EvalRequest request;
    request.models = {checkpoint.model};
    request.corpora = config_.corpora;
    request.convention = config_.convention;
    request.dtype = config_.dtype;
    request.device = config_.device;
    request.score.n_threads = n_threads;
    request.output = runs();
    request.command = "lmbits nightly";
    const std::size_t n_failures = report_.failures.size();
    {
      NightObserver observer(quiet_, report_.failures);
      const EvalOutcome outcome = eval_library().evaluate(request, observer);
      if (outcome.interrupted || outcome.n_runs == 0) return false;
    }
    if (!config_.tasks.empty()) {
      ChooseRequest questions;
      questions.models = {checkpoint.model};
      questions.questions = config_.tasks;
      questions.output = config_.output / "tasks";
      questions.n_threads = n_threads;
      const auto progress = make_progress(quiet_);
      const ChooseOutcome outcome = eval_library().choose(questions, *progress);
      for (const auto& [model, error] : outcome.failed_models) report_.failures.push_back(model + ": " + error.what());
      if (outcome.interrupted) return false;
    }
    return report_.failures.size() == n_failures;
  }

  void take_over(History& history) {
    const ImportOutcome imported = history.import(runs());
    report_.failures.insert(report_.failures.end(), imported.unreadable.begin(), imported.unreadable.end());
  }

  // The outputs come before the log of what was judged: a kill between them tells tomorrow what it told tonight, and no
  // alarm is lost.
  void judge(const History& history) {
    RecordLog log(config_.output / "judgements.jsonl", Json::object(), [](const Json&) { return true; });
    std::set<std::string> judged;
    for (const Json& record : log.done()) judged.insert(record.value("model_fingerprint", ""));
    report_.judgements = judge_new(history, config_, judged);
    report_.models = judged_models(history, config_);
    const bool regressed = std::any_of(report_.judgements.begin(), report_.judgements.end(),
                                       [](const Judgement& judgement) { return judgement.regression(); });
    report_.exit_code = regressed ? kExitRegression : report_.failures.empty() ? 0 : kExitSomeFailed;
    report_.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
    write_outputs();
    for (const Judgement& judgement : report_.judgements) log.append(to_json(judgement));
    log.sync();
  }

  void write_outputs() const {
    fs::create_directories(config_.output / "nights");
    const std::string json = to_json(report_).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    write_file_atomically(config_.output / "nights" / (report_.night + ".json"), json);
    write_file_atomically(config_.output / "latest.json", json);
    write_file_atomically(config_.output / "junit.xml", to_junit(report_));
    write_file_atomically(config_.output / "metrics.prom", to_prometheus(report_));
    const std::vector<Run> all = fs::exists(runs()) ? read_runs(runs()) : std::vector<Run>{};
    if (all.empty()) return;  // nothing to show yet
    RankRequest request;
    request.n_threads = available_threads();
    const RunReport page = report_runs(all, request);
    write_file_atomically(config_.output / "index.html",
                          to_html(page, to_sections(report_),
                                  {"lmbits nightly", std::string("Made by lmbits ") + LMBITS_VERSION + " nightly."}));
  }

  const NightlyConfig& config_;
  bool quiet_;
  std::chrono::steady_clock::time_point began_;
  std::unique_ptr<Lease> lease_;
  NightReport report_;
};

int run(const NightlyFlags& flags) {
  const NightlyConfig config = read_nightly_config(flags.config);
  Night night(config, flags.quiet);
  const NightReport& report = night.run();
  if (flags.json) {
    print(to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(printable_lines(to_text(report)));
    if (report.exit_code != kExitInterrupted) print("the page: " + (config.output / "index.html").string() + "\n");
  }
  if (report.exit_code == kExitInterrupted) {
    std::fprintf(stderr, "stopped; every finished document is kept, and the next night goes on\n");
  }
  return report.exit_code;
}

}  // namespace

void add_nightly(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<NightlyFlags>();
  CLI::App* command = app.add_subcommand("nightly", "Score what is new in watched folders, and tell what got worse");
  command->footer(kHelp);
  command->add_option("CONFIG", flags->config, "What to watch, score and compare: JSON, see below")->required();
  command->add_flag("--json", flags->json, "Print the night's report as JSON");
  command->add_flag("--quiet", flags->quiet, "No progress");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
