// lmbits eval: many models on many corpora.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/convention_flags.h"
#include "src/cli/corpus_flags.h"
#include "src/cli/eval_library.h"
#include "src/cli/run_progress.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/cli/worker_place.h"
#include "src/core/json.h"
#include "src/report/table.h"

namespace lmbits::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits eval --model small.pt --model new=big.pt --corpus novel.txt --corpus web.jsonl.zst -o runs\n"
    "  lmbits eval --model family.pt --weights 'run/step*/model*.safetensors' --corpus novel.txt -o runs\n"
    "  lmbits rank runs\n"
    "\n"
    "  torchrun --nproc-per-node=4 --no-python lmbits eval ...   the same by four workers: docs/scale.md\n"
    "\n"
    "Each pair of a model and a corpus is a folder below -o. The same command again resumes what was stopped or "
    "killed\n"
    "and computes nothing twice. Models: a bundle, a package (.pt2), a bare TorchScript .pt with a sidecar .json,\n"
    "uniform:V, bigram:FILE.\n"
    "--weights scores the checkpoints of a training run, one by one, with the graph and the tokenizer of one bundle.\n"
    "Corpora: a text file, a folder, JSONL; any of them as .gz or .zst; several files by a pattern in quotes\n"
    "('web/*.jsonl', '{a,b}.txt') or a corpus.json, which also names categories, filters and a sample.";

struct EvalFlags {
  EvalRequest request;
  std::vector<std::string> corpora;
  std::vector<std::string> dictionaries;
  CorpusFlags corpus;
  AgainstFlags against;
  std::string cache;
  bool no_cache = false;
  bool no_graphs = false;
  std::int64_t batch = 0;
  bool profile = false, quiet = false, json = false;
};

class Reporter final : public EvalObserver {
 public:
  explicit Reporter(bool quiet) : quiet_(quiet), progress_(quiet) {}

  void run_started(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t n_bytes_done) override {
    progress_.begin(name, n_bytes, n_bytes_done);
  }
  void run_progress(const ScoreProgress& now) override { progress_.update(now); }
  void run_finished(const std::string& name, const Json& summary, bool resumed) override {
    progress_.end();
    if (resumed) say(name + ": finished before");
    const Json profile = summary.value("profile", Json());
    if (profile.is_object() && profile.contains("token_cache_problem"))
      say(name + ": " + profile["token_cache_problem"].get<std::string>());
    summaries_.push_back(summary);
    for (const Json& warning : summary["warnings"]) {
      const auto text = warning.get<std::string>();
      if (text.find("bootstrap over blocks") == std::string::npos) say(name + ": warning: " + text);
    }
  }
  void run_failed(const std::string& name, const Error& error) override { failed(name, error); }
  void model_failed(const std::string& model, const Error& error) override { failed(model, error); }

  // Ends the progress line, also of a run that was stopped.
  void end() { progress_.end(); }
  const std::vector<Json>& summaries() const { return summaries_; }

 private:
  void say(const std::string& line) const {
    if (!quiet_) std::fprintf(stderr, "%s\n", line.c_str());
  }
  void failed(const std::string& what, const Error& error) {
    progress_.end();
    const std::string text = error.what();
    std::fprintf(stderr, "lmbits: %s\n", (text.starts_with(what + ": ") ? text : what + ": " + text).c_str());
    if (!error.hint().empty()) std::fprintf(stderr, "  hint: %s\n", error.hint().c_str());
  }

  bool quiet_;
  RunProgress progress_;
  std::vector<Json> summaries_;
};

std::optional<double> number(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// Where the corpora have categories: a row each, and their micro and macro averages.
Table by_category(const std::vector<Json>& summaries) {
  Table table;
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "category", .title = "category", .align = Align::kLeft},
                   {.key = "n_documents", .title = "documents"},
                   {.key = "n_bytes", .title = "bytes"},
                   {.key = "bits_per_byte", .title = "bits/byte"},
                   {.key = "bits_per_char", .title = "bits/char"},
                   {.key = "ratio", .title = "ratio", .decimals = 3}};
  for (const Json& s : summaries) {
    const Json categories = s.value("categories", Json(nullptr));
    if (!categories.is_object()) continue;
    const auto add = [&](const std::string& name, const Json& of) {
      TableRow row{{s["model"].get<std::string>(), s["corpus"].get<std::string>(), name}};
      for (const char* key : {"n_documents", "n_bytes"})
        row.cells.push_back(of.contains(key) ? Cell(of[key].get<std::int64_t>()) : Cell());
      for (const char* key : {"bits_per_byte", "bits_per_char", "ratio"}) row.cells.push_back(cell_of(number(of, key)));
      table.rows.push_back(row);
    };
    for (const auto& [name, of] : categories.items()) add(name.empty() ? "(none)" : name, of);
    add("micro: all bits / all bytes", s);
    add("macro: the categories' mean", s["macro"]);
  }
  return table;
}

// Where a convention leaves much of the text unscored, its bits over all bytes say nothing: its own number does.
bool is_whole(const Json& summary) {
  return !leaves_much_unscored(summary["n_scored"].get<std::int64_t>(), summary["n_tokens"].get<std::int64_t>());
}

std::optional<double> perplexity_of(const Json& summary) { return number(summary["headline"], "perplexity"); }

Table results(const std::vector<Json>& summaries) {
  Table table;
  const bool with_perplexity = std::any_of(summaries.begin(), summaries.end(), perplexity_of);
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "bits_per_byte", .title = "bits/byte"},
                   {.key = "interval", .title = "95 % interval", .interval = true},
                   {.key = "bits_per_char", .title = "bits/char"},
                   {.key = "ratio", .title = "ratio", .decimals = 3},
                   {.key = "tokens_per_s", .title = "tokens/s", .decimals = 0},
                   {.key = "n_failed", .title = "failed"}};
  if (with_perplexity) table.columns.push_back({.key = "perplexity", .title = "perplexity", .decimals = 3});
  for (const Json& s : summaries) {
    const auto of_whole_text = [&](const char* key) { return is_whole(s) ? number(s, key) : std::nullopt; };
    Cell interval;
    double level = 0.95;
    if (s["interval"].is_object() && is_whole(s)) {
      interval = Interval{s["interval"]["bits_per_byte"][0], s["interval"]["bits_per_byte"][1]};
      level = s["interval"]["level"].get<double>();
    }
    table.columns[3].title = format_fixed(100 * level, level * 100 == std::floor(level * 100) ? 0 : 1) + " % interval";
    std::optional<double> rate;
    const auto profile = s.find("profile");
    if (profile != s.end() && number(*profile, "wall_s").value_or(0.0) > 0) {
      rate = *number(*profile, "n_scored") / *number(*profile, "wall_s");
    }
    table.rows.push_back({{s["model"].get<std::string>(), s["corpus"].get<std::string>(),
                           cell_of(of_whole_text("bits_per_byte")), interval, cell_of(of_whole_text("bits_per_char")),
                           cell_of(of_whole_text("ratio")), cell_of(rate), s["n_failed"].get<std::int64_t>()}});
    if (with_perplexity) table.rows.back().cells.push_back(cell_of(perplexity_of(s)));
  }
  return table;
}

// Shares of the wall time; what runs beside the model can add up to more than 100 %.
Table profiles(const std::vector<Json>& summaries) {
  Table table;
  table.columns = {{.key = "run", .title = "run", .align = Align::kLeft},
                   {.key = "wall_s", .title = "wall s", .decimals = 2}};
  const std::vector<std::pair<const char*, const char*>> parts = {
      {"model_s", "model %"},     {"read_s", "read %"},       {"tokenize_s", "tokens %"},
      {"windows_s", "windows %"}, {"records_s", "records %"}, {"baseline_s", "gzip %"}};
  for (const auto& [key, title] : parts) table.columns.push_back({.key = key, .title = title, .decimals = 2});
  table.columns.push_back({.key = "cached", .title = "cached %", .decimals = 1});
  table.columns.push_back({.key = "padding", .title = "padding %", .decimals = 1});
  for (const Json& s : summaries) {
    const Json& p = s["profile"];
    const double wall_s = *number(p, "wall_s");
    TableRow row{{s["model"].get<std::string>() + " " + s["corpus"].get<std::string>(), wall_s}};
    for (const auto& part : parts) row.cells.push_back(100 * *number(p, part.first) / wall_s);
    const double n_cached = number(p, "n_texts_cached").value_or(0);
    const double n_texts = n_cached + number(p, "n_texts_encoded").value_or(0);
    row.cells.push_back(n_texts > 0 ? Cell(100 * n_cached / n_texts) : Cell());
    row.cells.push_back(100 * (1 - *number(p, "n_forward") / *number(p, "n_positions")));
    table.rows.push_back(row);
  }
  return table;
}

// Of this process, the weights of the model at hand included.
std::string peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return "peak memory " + std::to_string(usage.ru_maxrss / 1024) + " MiB, weights included\n";
}

std::pair<std::string, std::string> split_pair(const std::string& text, const char* flag) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(ErrorKind::kUsage, std::string(flag) + " " + text + " is not NAME=FILE",
                "for example prose=novels.txt");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

// The command as it was typed, arguments separated by spaces.
std::string command_line() {
  std::ifstream arguments("/proc/self/cmdline", std::ios::binary);
  std::string text;
  for (std::string argument; std::getline(arguments, argument, '\0');) text += (text.empty() ? "" : " ") + argument;
  return text;
}

int run(EvalFlags& flags) {
  stop_cleanly_on_signals();
  EvalRequest& request = flags.request;
  request.command = command_line();
  for (const std::string& text : flags.corpora) request.corpora.push_back(corpus_spec(text, flags.corpus));
  for (const std::string& text : flags.against.against)
    request.contamination.train.push_back(training_spec(text, flags.corpus));
  request.contamination.rule = parse_ngram(flags.against.ngram);
  request.contamination.share = flags.against.share;
  request.contamination.memory_bytes = parse_memory(flags.against.memory);
  request.graphs = !flags.no_graphs;
  if (!flags.no_cache) request.token_cache = flags.cache.empty() ? request.output / ".tokens" : fs::path(flags.cache);
  for (const std::string& text : flags.dictionaries) {
    const auto dictionary = split_pair(text, "--dictionary");
    if (std::ranges::none_of(request.corpora, [&](const CorpusSpec& c) { return corpus_name(c) == dictionary.first; }))
      throw Error(ErrorKind::kUsage,
                  "--dictionary " + text + " is for a corpus that is not scored: " + dictionary.first,
                  "give --corpus " + dictionary.first + "=PATH, or the name of one that is there");
    request.dictionaries.insert(dictionary);
  }
  if (request.baselines == std::vector<std::string>{"none"}) request.baselines.clear();
  request.score.max_sequences = flags.batch;
  request.worker = worker_place();
  if (request.score.n_threads == 0)
    request.score.n_threads = threads_of_worker(static_cast<int>(std::thread::hardware_concurrency()), request.worker);
  const bool speaks = !request.worker || request.worker->rank == 0;  // the others do the same
  if (!speaks) flags.quiet = true;
  Reporter reporter(flags.quiet);
  const EvalOutcome outcome = eval_library().evaluate(request, reporter);
  reporter.end();
  if (!speaks) return outcome.exit_code();
  if (flags.json) {
    print(Json(reporter.summaries()).dump(2) + "\n");
  } else if (!reporter.summaries().empty()) {
    print(to_text(results(reporter.summaries()), stdout_style()));
    const Table categories = by_category(reporter.summaries());
    if (!categories.rows.empty()) print("\n" + to_text(categories, stdout_style()));
    if (flags.profile) print("\n" + to_text(profiles(reporter.summaries()), stdout_style()) + peak_memory());
  }
  if (outcome.interrupted) {
    std::fprintf(stderr, "stopped; every finished document is kept. To go on: the same command again\n");
  } else if (!flags.quiet && !flags.json) {
    std::fprintf(stderr, "runs are in %s; compare them with: lmbits rank %s\n", request.output.c_str(),
                 request.output.c_str());
  }
  return outcome.exit_code();
}

}  // namespace

void add_eval(const Command& app, int& exit_code) {
  auto flags = std::make_shared<EvalFlags>();
  EvalRequest& request = flags->request;
  request.baselines = {"gzip-9", "zstd-19", "xz-9e", "bzip2-9"};
  request.output = "runs";
  request.score.n_threads = 0;
  const Command command = app.add_subcommand("eval", "How many bits does each model need for each corpus?");
  command.footer(kHelp);
  command.add_option("--model", request.models, "PATH or NAME=PATH of a model; several allowed").required();
  command.add_option("--weights", request.weights,
                     "checkpoints of the one --model: safetensors files, shards, folders, or patterns ('run/step*')");
  command.add_option("--corpus", flags->corpora, "PATH or NAME=PATH of a text; several allowed").required();
  command.add_option("-o,--output", request.output, "folder of the runs").capture_default_str();
  add_corpus_flags(command, flags->corpus);
  add_against_flags(command, flags->against);
  command.add_option("--cache", flags->cache,
                     "folder that keeps tokens for other models of the same tokenizer (default OUTPUT/.tokens)");
  command.add_flag("--no-cache", flags->no_cache, "keep no tokens");
  add_convention_flags(command, request.convention);
  command
      .add_option("--threads", request.score.n_threads,
                  "batches computed at a time; 0: as the machine has processors, shared by its workers")
      .in_range(0, 1024)
      .capture_default_str();
  command.add_option("--batch", flags->batch, "windows in a forward pass, as far as memory allows; 0: by size")
      .in_range(0, 1 << 20)
      .capture_default_str();
  command.add_option("--dtype", request.dtype, kDtypeHelp).capture_default_str();
  command
      .add_option("--device", request.device,
                  "cpu, auto (a GPU where there is one), cuda, cuda:N, cuda:0,cuda:1 or cuda:all")
      .capture_default_str();
  command.add_flag("--no-graphs", flags->no_graphs, "on a GPU, start each operator of a small model by itself");
  command.add_option("--baselines", request.baselines, "compressors set beside the models; none, all, or names")
      .delimiter(',')
      .capture_default_str();
  command.add_option("--dictionary", flags->dictionaries,
                     "NAME=FILE: a zstd row for corpus NAME that has seen FILE; several allowed");
  command.add_option("--level", request.level, "of the intervals").in_range(0.5, 0.9999).capture_default_str();
  command.add_option("--seed", request.seed, "of the bootstrap").capture_default_str();
  command.add_flag("--profile", flags->profile, "show where the time went, and the peak memory");
  command.add_flag("--json", flags->json, "print the summaries as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress, no notes");
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
