// lmbits history: what was scored when, over all nights, from one database.
#include "src/store/history.h"

#include <cstdio>
#include <map>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/stdout_style.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/compare_report.h"
#include "src/report/history_points.h"
#include "src/report/table.h"

namespace lmbits::cli {
namespace {

struct HistoryFlags {
  std::string database;
  std::vector<std::string> folders;
  HistoryFilter filter;
  std::string base, next, output, format = "table";
  CompareRequest compare;
  bool json = false;
};

constexpr const char* kHistoryHelp =
    "Example:\n"
    "  lmbits history import runs\n"
    "  lmbits history list --corpus prose --last 20\n"
    "  lmbits history diff run-3000 run-3600\n"
    "  lmbits history export -o history.csv\n"
    "\n"
    "The database (--db, by default history.sqlite in this folder) repeats what run folders hold, for questions over "
    "many\n"
    "of them. It may be deleted: import makes it again. A damaged one is set aside and made again from its sources.";

// Opens for writing; says so where the file had to be made again.
std::unique_ptr<History> open_for_writing(const HistoryFlags& flags) {
  std::string note;
  const std::vector<std::filesystem::path> sources(flags.folders.begin(), flags.folders.end());
  auto history = open_or_rebuild_history(flags.database, sources, note);
  if (!note.empty()) std::fprintf(stderr, "lmbits: %s\n", printable(note).c_str());
  return history;
}

int run_import(const HistoryFlags& flags) {
  const std::unique_ptr<History> history = open_for_writing(flags);
  int status = 0;
  Json folders = Json::array();
  for (const std::string& folder : flags.folders) {
    const ImportOutcome done = history->import(folder);
    folders.push_back({{"folder", printable(folder)},
                       {"n_added", done.n_added},
                       {"n_updated", done.n_updated},
                       {"n_unchanged", done.n_unchanged},
                       {"n_unfinished", done.n_unfinished},
                       {"n_unreadable", std::ssize(done.unreadable)}});
    std::fprintf(stderr, "%s: %lld runs added, %lld updated, %lld there already, %lld unfinished\n", folder.c_str(),
                 static_cast<long long>(done.n_added), static_cast<long long>(done.n_updated),
                 static_cast<long long>(done.n_unchanged), static_cast<long long>(done.n_unfinished));
    for (const std::string& problem : done.unreadable) {
      std::fprintf(stderr, "lmbits: left out %s\n", printable(problem).c_str());
      status = kExitSomeFailed;
    }
  }
  if (flags.json) print(folders.dump(2) + "\n");
  return status;
}

Table as_table(const std::vector<HistoryRun>& runs) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "step", .title = "step"},
                   {.key = "bits_per_byte", .title = "bits/byte ↓"},
                   {.key = "interval", .title = "95 %", .interval = true},
                   {.key = "n_documents", .title = "documents"},
                   {.key = "n_failed", .title = "failed"},
                   {.key = "convention", .title = "convention", .align = Align::kLeft},
                   {.key = "started", .title = "started (UTC)", .align = Align::kLeft},
                   {.key = "n_bytes", .title = "bytes", .audience = Audience::kMachines},
                   {.key = "n_tokens", .title = "tokens", .audience = Audience::kMachines},
                   {.key = "bits", .title = "bits", .audience = Audience::kMachines},
                   {.key = "dtype", .title = "dtype", .align = Align::kLeft, .audience = Audience::kMachines},
                   {.key = "id", .title = "id", .audience = Audience::kMachines},
                   {.key = "fingerprint", .title = "fingerprint", .audience = Audience::kMachines},
                   {.key = "model_fingerprint", .title = "model", .audience = Audience::kMachines},
                   {.key = "corpus_fingerprint", .title = "corpus", .audience = Audience::kMachines},
                   {.key = "path", .title = "path", .audience = Audience::kMachines}};
  for (const HistoryRun& run : runs) {
    table.rows.push_back(
        {{run.corpus, run.model, cell_of(run.step), cell_of(run.bits_per_byte), cell_of(interval_of(run)),
          run.n_documents, run.n_failed, run.convention, run.started, run.n_bytes, run.n_tokens, run.bits, run.dtype,
          run.id, run.fingerprint, run.model_fingerprint, run.corpus_fingerprint, run.path}});
  }
  return table;
}

void run_list(const HistoryFlags& flags) {
  const History history(flags.database, Sqlite::Access::kRead);
  const Table table = as_table(history.runs(flags.filter));
  const std::string format = flags.json ? "json" : flags.format;
  const std::string text = format == "json"  ? to_json(table).dump(2) + "\n"
                           : format == "csv" ? to_csv(table)
                                             : to_text(table, stdout_style());
  if (flags.output.empty()) {
    print(text);
  } else {
    write_file_atomically(flags.output, text);
  }
}

// The last run of a model on each corpus.
std::vector<Run> last_runs(const History& history, const std::string& model, HistoryFilter filter) {
  filter.model = model;
  std::map<std::pair<std::string, std::string>, HistoryRun> last;
  for (const HistoryRun& run : history.runs(filter)) {
    HistoryRun& place = last[{run.corpus, run.convention}];
    if (place.id == 0 || run.started >= place.started) place = run;
  }
  if (last.empty()) {
    throw Error(ErrorKind::kData, "the history has no run of " + model, "lmbits history list shows what it has");
  }
  std::vector<Run> runs;
  for (const auto& [corpus, run] : last) runs.push_back(history.run(run.id));
  return runs;
}

void run_diff(const HistoryFlags& flags) {
  const History history(flags.database, Sqlite::Access::kRead);
  CompareRequest request = flags.compare;
  request.n_threads = available_threads();
  const CompareReport report =
      compare_runs(last_runs(history, flags.base, flags.filter), last_runs(history, flags.next, flags.filter), request);
  print(flags.json ? to_json(report).dump(2) + "\n" : to_text(report, stdout_style()));
}

int run_check(const HistoryFlags& flags) {
  const History history(flags.database, Sqlite::Access::kRead);
  const std::vector<std::string> problems = history.check();
  const std::int64_t n_runs = problems.empty() ? std::ssize(history.runs({})) : 0;
  if (flags.json) {
    Json json{{"sound", problems.empty()}, {"n_runs", problems.empty() ? Json(n_runs) : Json(nullptr)}};
    json["problems"] = Json::array();
    for (const std::string& problem : problems) json["problems"].push_back(printable(problem));
    print(json.dump(2) + "\n");
  } else {
    for (const std::string& problem : problems) print(printable(problem) + "\n");
    if (problems.empty()) print("sound: " + std::to_string(n_runs) + " runs\n");
  }
  return problems.empty() ? 0 : static_cast<int>(ErrorKind::kData);
}

void add_filter(const Command& command, const std::shared_ptr<HistoryFlags>& flags) {
  command.add_option("--corpus", flags->filter.corpus, "Only this corpus; may hold * and ?");
  command.add_option("--convention", flags->filter.convention, "Only this convention");
}

void add_list_filter(const Command& command, const std::shared_ptr<HistoryFlags>& flags) {
  add_filter(command, flags);
  command.add_option("--model", flags->filter.model, "Only models of this name; may hold * and ?");
  command.add_option("--last", flags->filter.last, "Only so many runs, those that started last");
}

}  // namespace

void add_history(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<HistoryFlags>();
  flags->database = "history.sqlite";
  const Command command = app.add_subcommand("history", "What was scored when: runs of all nights in one database");
  command.footer(kHistoryHelp);
  command.require_subcommand();
  command.fallthrough();
  command.add_option("--db", flags->database, "The database").capture_default_str();

  const Command take_over = command.add_subcommand("import", "Take over the finished runs of folders");
  take_over.add_option("FOLDERS", flags->folders, "Folders that lmbits eval -o wrote").required();
  take_over.add_flag("--json", flags->json, "Print the counts as JSON, too");
  take_over.callback([flags, &exit_code] { exit_code = run_import(*flags); });

  const Command list = command.add_subcommand("list", "Show runs, by corpus and model");
  add_list_filter(list, flags);
  list.add_option("--format", flags->format, "table (default), csv or json").one_of({"table", "csv", "json"});
  list.add_flag("--json", flags->json, "The same as --format json");
  list.callback([flags] { run_list(*flags); });

  const Command diff = command.add_subcommand("diff", "Compare the last runs of two models, paired by document");
  diff.add_option("BASE", flags->base, "A model's name").required();
  diff.add_option("NEW", flags->next, "A model's name").required();
  add_filter(diff, flags);
  diff.add_option("--level", flags->compare.level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  diff.add_flag("--json", flags->json, "JSON instead of text");
  diff.callback([flags] { run_diff(*flags); });

  const Command out = command.add_subcommand("export", "Write all columns of runs as CSV or JSON");
  add_list_filter(out, flags);
  out.add_option("-o,--output", flags->output, "Write here (default: standard output)");
  out.add_option("--format", flags->format, "csv (default) or json").one_of({"csv", "json"});
  out.add_flag("--json", flags->json, "The same as --format json");
  out.callback([flags] {
    if (flags->format == "table") flags->format = "csv";
    run_list(*flags);
  });

  const Command check = command.add_subcommand("check", "Is the database sound?");
  check.add_flag("--json", flags->json, "JSON instead of text");
  check.callback([flags, &exit_code] { exit_code = run_check(*flags); });

  const Command rebuild = command.add_subcommand("rebuild", "Make the database again where it is damaged");
  rebuild.add_option("FOLDERS", flags->folders, "Folders of runs, beside those that the database still names");
  rebuild.callback([flags] { open_for_writing(*flags); });
}

}  // namespace lmbits::cli
