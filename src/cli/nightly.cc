// lmbits nightly: what is new in the watched folders, what does it score, did anything regress?
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/run_progress.h"
#include "src/cli/score_files.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/cli/worker_place.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/core/utc.h"
#include "src/corpus/media.h"
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
    "Also: name (bundle, stem, folder: what a model is called), convention, dtype, device, threads; of a corpus field\n"
    "and patch, as the flags of lmbits eval. Paths are relative to the file. --slurm submits a job for each new\n"
    "checkpoint, and one behind them that judges; \"slurm\": {\"workers\": 8, \"at_once\": 0,\n"
    "\"options\": [\"--partition=gpu\", \"--gpus-per-task=1\"]} says how.\n"
    "A night that was stopped or killed is gone on with by the next. Only one runs at a time, on all nodes "
    "that\n"
    "see the output folder. Exit codes: 0 nothing got worse, 9 a regression, 10 a checkpoint failed, 130 interrupted;\n"
    "the others as everywhere.";

struct NightlyFlags {
  std::string config, only;
  bool quiet = false, json = false, slurm = false;
};

EvalRequest request_of(const NightlyConfig& config, const std::string& model) {
  EvalRequest request;
  request.worker = worker_place();
  request.models = {model};
  request.corpora = config.corpora;
  request.convention = config.convention;
  request.dtype = config.dtype;
  request.device = config.device;
  request.score.n_threads =
      config.threads > 0 ? config.threads : threads_of_worker(available_threads(), request.worker);
  request.output = config.output / "runs";
  request.command = "lmbits nightly";
  return request;
}

// Progress on the terminal; failures for the report.
class NightObserver final : public EvalObserver {
 public:
  NightObserver(bool quiet, std::vector<std::string>& failures) : progress_(quiet), failures_(failures) {}
  ~NightObserver() override { progress_.end(); }

  void run_started(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t n_bytes_done) override {
    progress_.begin(name, n_bytes, n_bytes_done);
  }
  void run_progress(const ScoreProgress& now) override { progress_.update(now); }
  void run_finished(const std::string&, const Json&, bool) override { progress_.end(); }
  void run_failed(const std::string& name, const Error& error) override {
    failures_.push_back(name + ": " + error.what());
  }
  void model_failed(const std::string& model, const Error& error) override {
    failures_.push_back(model + ": " + error.what());
  }

 private:
  RunProgress progress_;
  std::vector<std::string>& failures_;
};

// A checkpoint's answers lie in a folder of their own: jobs of an array give theirs at the same time.
fs::path answers_folder(const NightlyConfig& config, const std::string& model) {
  const std::size_t equals = model.find('=');
  const std::string name = equals != std::string::npos
                               ? model.substr(0, equals)
                               : fs::path(model).stem().string() + "-" + Fingerprint().add(model).hex().substr(0, 8);
  return config.output / "tasks" / folder_name(name);
}

// False when interrupted.
bool answer_questions(const NightlyConfig& config, const std::string& model, bool quiet,
                      std::vector<std::string>& failures) {
  if (config.tasks.empty()) return true;
  ChooseRequest questions;
  questions.models = {model};
  questions.questions = config.tasks;
  questions.output = answers_folder(config, model);
  questions.n_threads = config.threads > 0 ? config.threads : available_threads();
  const auto progress = make_progress(quiet);
  const ChooseOutcome outcome = eval_library().choose(questions, *progress);
  for (const auto& [name, error] : outcome.failed_models) failures.push_back(name + ": " + error.what());
  return !outcome.interrupted;
}

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

  // What there is to score: new, ready, not dealt with.
  std::vector<std::string> new_models() {
    const std::set<std::string> known = dealt_with(RecordLog(log_file(), Json::object(), any).done());
    std::vector<std::string> models;
    for (const WatchedCheckpoint& checkpoint : find_checkpoints(config_))
      if (!known.contains(key_of(checkpoint)) && checkpoint.waiting.empty()) models.push_back(checkpoint.model);
    return models;
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

  const std::string& name() const { return report_.night; }

 private:
  fs::path runs() const { return config_.output / "runs"; }

  // What decides whether a checkpoint was dealt with: scored on other corpora, it is new.
  std::string work() const {
    Fingerprint work;
    for (const CorpusSpec& corpus : config_.corpora) {
      work.add(corpus.name + "\n" + corpus.path + "\n" + corpus.field + "\n" + corpus.split + "\n");
      // Only where it is another than the one there always was: what is known stays known.
      const std::string patch = patch_name(parse_patch(corpus.patch));
      if (patch != patch_name({})) work.add("patch " + patch + "\n");
    }
    for (const std::string& task : config_.tasks) work.add(task + "\n");
    return work.add(config_.convention.name + "\n" + config_.dtype).hex();
  }

  static bool any(const Json&) { return true; }
  fs::path log_file() const { return config_.output / "checkpoints.jsonl"; }
  std::string key_of(const WatchedCheckpoint& checkpoint) const {
    return checkpoint.path + "\n" + checkpoint.stamp + "\n" + work();
  }
  static std::set<std::string> dealt_with(const std::vector<Json>& records) {
    std::set<std::string> known;
    for (const Json& record : records)
      known.insert(record.value("path", "") + "\n" + record.value("stamp", "") + "\n" + record.value("work", ""));
    return known;
  }

  void score_new() {
    RecordLog log(log_file(), Json::object(), any);
    const std::set<std::string> known = dealt_with(log.done());
    for (const WatchedCheckpoint& checkpoint : find_checkpoints(config_)) {
      if (known.contains(key_of(checkpoint))) continue;
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
    const EvalRequest request = request_of(config_, checkpoint.model);
    const std::size_t n_failures = report_.failures.size();
    {
      NightObserver observer(quiet_, report_.failures);
      const EvalOutcome outcome = eval_library().evaluate(request, observer);
      if (outcome.interrupted || outcome.n_runs == 0) return false;
    }
    if (!answer_questions(config_, checkpoint.model, quiet_, report_.failures)) return false;
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

// One of a checkpoint's workers, or one process alone, which also asks the questions; the rest is left to the night. Not
// under the lease: several checkpoints are scored at a time, and each run has a lock of its own.
int score_one(const NightlyConfig& config, const NightlyFlags& flags) {
  std::vector<std::string> failures;
  const EvalRequest request = request_of(config, flags.only);
  EvalOutcome outcome;
  {
    NightObserver observer(flags.quiet, failures);
    outcome = eval_library().evaluate(request, observer);
  }
  bool done = !outcome.interrupted;
  if (done && !request.worker) done = answer_questions(config, flags.only, flags.quiet, failures);
  for (const std::string& failure : failures) std::fprintf(stderr, "lmbits: %s\n", printable_lines(failure).c_str());
  if (!done) return kExitInterrupted;
  return outcome.exit_code() == 0 && !failures.empty() ? kExitSomeFailed : outcome.exit_code();
}

// The first line that a program prints.
std::string answer_of(const std::string& command) {
  FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) throw Error(ErrorKind::kConfig, "cannot run " + command, "is SLURM installed here?");
  std::array<char, 256> line{};
  const std::string answer = std::fgets(line.data(), line.size(), output) == nullptr ? "" : line.data();
  const int status = pclose(output);
  if (status != 0)
    throw Error(ErrorKind::kConfig, command + " failed with status " + std::to_string(status),
                "it says why above; the scripts are there to be submitted by hand");
  return answer.substr(0, answer.find('\n'));
}

// Submits the array and the judging job behind it; while those of an earlier night are in the queue, nothing.
int submit(const NightlyConfig& config, const NightlyFlags& flags) {
  const fs::path state = config.output / "slurm.json";
  std::vector<std::string> models;
  std::string night;
  {
    Night looking(config, true);
    night = looking.name();
    if (fs::exists(state)) {
      const Json before = Json::parse(read_file(state), nullptr, false);
      const std::string job = before.is_object() ? before.value("judge", "") : "";
      if (!job.empty() && job.find_first_not_of("0123456789") == std::string::npos &&
          !answer_of("squeue --noheader --jobs=" + job + " 2>/dev/null || true").empty()) {
        print("the night of " + before.value("night", "?") + " is still in the queue: job " + job + "\n");
        return 0;
      }
    }
    models = looking.new_models();
  }
  const SlurmNight jobs{.program = fs::read_symlink("/proc/self/exe"),
                        .config = fs::absolute(flags.config),
                        .folder = config.output / "slurm" / night,
                        .models = models,
                        .options = config.slurm};
  fs::create_directories(jobs.folder);
  const std::string in_folder = "cd " + shell_word(jobs.folder.string()) + " && ";
  std::string array, after;
  if (!models.empty()) {
    write_file_atomically(jobs.folder / "score.sh", array_script(jobs));
    array = answer_of(in_folder + "sbatch --parsable score.sh");
    array = array.substr(0, array.find(';'));
    after = " --dependency=afterany:" + array;
  }
  write_file_atomically(jobs.folder / "judge.sh", judge_script(jobs));
  std::string judge = answer_of(in_folder + "sbatch --parsable" + after + " judge.sh");
  judge = judge.substr(0, judge.find(';'));
  write_file_atomically(state, Json({{"night", night}, {"array", array}, {"judge", judge}}).dump(2) + "\n");
  print(std::to_string(models.size()) + " new checkpoints" + (array.empty() ? "" : ": array " + array) +
        ", judged by job " + judge + "; scripts and logs: " + jobs.folder.string() + "\n");
  return 0;
}

int run(const NightlyFlags& flags) {
  stop_cleanly_on_signals();
  const NightlyConfig config = read_nightly_config(flags.config);
  if (!flags.only.empty()) return score_one(config, flags);
  if (flags.slurm) return submit(config, flags);
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

void add_nightly(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<NightlyFlags>();
  const Command command =
      app.add_subcommand("nightly", "Score what is new in watched folders, and tell what got worse");
  command.footer(kHelp);
  command.add_option("CONFIG", flags->config, "What to watch, score and compare: JSON, see below").required();
  command.add_flag("--slurm", flags->slurm, "Submit a SLURM job for each new checkpoint, and one that judges");
  command.add_option("--score", flags->only, "Score this one checkpoint and judge nothing: what those jobs do");
  command.add_flag("--json", flags->json, "Print the night's report as JSON");
  command.add_flag("--quiet", flags->quiet, "No progress");
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
