// lmbits select analyse: how redundant are these data sets, and what does the entropy law make of it?
#include "src/cli/select_analyse.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/report/redundancy_map.h"
#include "src/report/wording.h"
#include "src/selection/analyse.h"
#include "src/selection/entropy_law.h"
#include "src/selection/pool.h"

namespace lmbits::cli {
namespace {

namespace fs = std::filesystem;

struct AnalyseFlags {
  std::vector<std::string> sets;
  std::string format = "auto", model, law, heatmap;
  SampleTemplate sample;
  std::int64_t n_heatmap = 40;
  double level = 0.95;
  int n_threads = 0;
  bool json = false, quiet = false;
};

constexpr const char* kAnalyseHelp =
    "Example:\n"
    "  lmbits select analyse pool.jsonl chosen.jsonl random.jsonl\n"
    "  lmbits select analyse pool.jsonl --model small.pt --heatmap pool.svg\n"
    "  lmbits select analyse --law runs.csv\n"
    "\n"
    "R is raw / zlib-compressed bytes of all texts in a row; model R the same with a model's bits. copies: the text\n"
    "stood earlier; same form: the same but for case, digits and white space. answer explained: the share of an\n"
    "answer's compressed bytes that its prompt saves; contradictions: the same prompt with another answer.\n"
    "--law FILE: a CSV file name,ratio,loss,score, a row a data set; fits score = a + b ln R + c loss, and flags "
    "losses\n"
    "that R does not explain. --heatmap: which of the first samples explain each other.";

// Removes itself.
class ScratchFolder {
 public:
  ScratchFolder() : path_(fs::temp_directory_path() / ("lmbits-analyse-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code none;
    fs::remove_all(path_, none);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// ---- A model's own bits on a set.

class KeepSummary final : public EvalObserver {
 public:
  explicit KeepSummary(Progress& progress) : progress_(progress) {}
  void run_started(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t) override {
    progress_.begin({.label = name, .unit = "B", .total = n_bytes});
  }
  void run_progress(const ScoreProgress& now) override {
    progress_.advance(now.n_bytes_now - n_bytes_);
    n_bytes_ = now.n_bytes_now;
  }
  void run_finished(const std::string&, const Json& summary, bool) override {
    progress_.end();
    summary_ = summary;
  }
  void run_failed(const std::string&, const Error& error) override { throw error; }
  void model_failed(const std::string&, const Error& error) override { throw error; }
  const Json& summary() const { return summary_; }

 private:
  Progress& progress_;
  std::int64_t n_bytes_ = 0;
  Json summary_;
};

// The set's texts by the template, as a corpus for the evaluator.
void write_texts(const std::string& set, const fs::path& spool, const SampleTemplate& how, const fs::path& out) {
  const Pool pool(set, spool);
  AppendFile file(out, 0);
  for (std::int64_t i = 0; i < pool.size(); ++i) {
    try {
      file.append(Json{{"text", sample_text(parse_sample(pool.record(i), how))}}.dump());
    } catch (const Error& error) {  // is counted as failed by the analysis
      if (error.kind() != ErrorKind::kData) throw;
    }
  }
}

std::optional<double> model_ratio(const AnalyseFlags& flags, const std::string& set, const ScratchFolder& scratch,
                                  Progress& progress) {
  const fs::path texts = scratch.path() / "texts.jsonl";
  write_texts(set, scratch.path() / "spool", flags.sample, texts);
  EvalRequest request;
  request.models = {flags.model};
  CorpusSpec corpus;
  corpus.path = texts.string();
  corpus.name = "set";
  request.corpora = {corpus};
  request.output = scratch.path() / "runs";
  KeepSummary keep(progress);
  eval_library().evaluate(request, keep);
  fs::remove_all(request.output);
  fs::remove(texts);
  const Json ratio = keep.summary().is_object() ? keep.summary().value("ratio", Json()) : Json();
  return ratio.is_number() ? std::optional(ratio.get<double>()) : std::nullopt;
}

// ---- Tables.

Table table_of(const std::vector<SetStatistics>& sets, bool has_model) {
  Table table;
  table.columns = {{.key = "set", .title = "set", .align = Align::kLeft},
                   {.key = "n_samples", .title = "samples"},
                   {.key = "n_bytes", .title = "bytes"},
                   {.key = "ratio", .title = "R ↓", .decimals = 3},
                   {.key = "model_ratio",
                    .title = "model R ↓",
                    .decimals = 3,
                    .audience = has_model ? Audience::kAll : Audience::kMachines},
                   {.key = "ratio_alone", .title = "R alone", .decimals = 3},
                   {.key = "n_copies", .title = "copies"},
                   {.key = "n_same_form", .title = "same form"},
                   {.key = "answer_explained", .title = "answer explained", .decimals = 3},
                   {.key = "n_contradictions", .title = "contradictions"},
                   {.key = "median_bytes", .title = "median B", .decimals = 0},
                   {.key = "n_empty", .title = "empty"},
                   {.key = "n_repetitive", .title = "repetitive"},
                   {.key = "n_failed", .title = "failed"}};
  for (const SetStatistics& s : sets) {
    table.rows.push_back({{s.name, s.n_samples, s.n_bytes, cell_of(s.ratio), cell_of(s.model_ratio),
                           cell_of(s.ratio_alone), s.n_copies, s.n_same_form, cell_of(s.answer_explained),
                           s.n_contradictions, cell_of(s.median_bytes), s.n_empty, s.n_repetitive, s.n_failed}});
  }
  return table;
}

Table law_table(const LawFit& fit) {
  Table table;
  table.columns = {{.key = "term", .title = "term", .align = Align::kLeft},
                   {.key = "value", .title = "value"},
                   {.key = "interval", .title = "interval", .interval = true},
                   {.key = "p", .title = "p"}};
  for (const LawTerm& term : fit.terms) table.rows.push_back({{term.name, term.value, term.interval, term.p}});
  return table;
}

Table loss_table(const std::vector<LossCheck>& checks) {
  Table table;
  table.columns = {{.key = "name", .title = "data set", .align = Align::kLeft},
                   {.key = "loss", .title = "loss"},
                   {.key = "expected", .title = "expected from R"},
                   {.key = "interval", .title = "interval", .interval = true},
                   {.key = "p", .title = "p"},
                   {.key = "verdict", .title = "", .align = Align::kLeft}};
  for (const LossCheck& c : checks) {
    const std::string verdict = !c.is_abnormal ? "" : c.loss > c.expected ? "abnormally high" : "abnormally low";
    table.rows.push_back(
        {{c.name, c.loss, c.expected, c.interval, c.p, verdict}, c.is_abnormal ? Emphasis::kStrong : Emphasis::kNone});
  }
  return table;
}

// ---- The three questions.

void analyse_sets(const AnalyseFlags& flags, Json& json) {
  const auto progress = make_progress(flags.quiet);
  const ScratchFolder scratch;
  std::vector<SetStatistics> sets;
  for (const std::string& path : flags.sets) {
    sets.push_back(analyse_set(path, scratch.path() / "spool", flags.sample, flags.n_threads, *progress));
    if (!flags.model.empty()) sets.back().model_ratio = model_ratio(flags, path, scratch, *progress);
  }
  const Table table = table_of(sets, !flags.model.empty());
  json["sets"] = to_json(table);
  if (!flags.json) print(to_text(table, stdout_style()));
}

void fit_law(const AnalyseFlags& flags, Json& json) {
  const auto rows = parse_law_table(read_file(flags.law), flags.law);
  const auto fit = fit_entropy_law(rows, flags.level);
  if (!fit) {
    throw Error(ErrorKind::kData,
                flags.law + " has " + std::to_string(rows.size()) + " rows, too few or too much alike to fit the law",
                "with losses it needs four data sets at least, whose R and loss vary, and not together");
  }
  const auto checks = check_losses(rows, flags.level);
  json["law"] = {{"n", fit->n},
                 {"level", flags.level},
                 {"formula", law_formula(*fit)},
                 {"terms", to_json(law_table(*fit))},
                 {"r_squared", fit->r_squared},
                 {"residual_sd", fit->residual_sd},
                 {"losses", to_json(loss_table(checks))}};
  const std::string note = checks.empty() ? "losses were not checked: " + why_losses_are_unchecked(rows) : "";
  if (!note.empty()) json["law"]["note"] = note;
  if (flags.json) return;
  print("\n" + law_formula(*fit) + ", " + counted(static_cast<std::int64_t>(fit->n), "data set") + ", R² " +
        format_fixed(fit->r_squared, 4) + ", residual sd " + format_fixed(fit->residual_sd, 4) + ", intervals at " +
        percent_as_given(flags.level) + "\n\n" + to_text(law_table(*fit), stdout_style()));
  print(checks.empty()
            ? "\n" + note + "\n"
            : "\nloss expected from ln R, by the other data sets\n\n" + to_text(loss_table(checks), stdout_style()));
}

std::string matrix_csv(const std::vector<std::string>& names, const std::vector<std::vector<double>>& saved) {
  std::string csv = "behind";
  for (const std::string& name : names) csv += "," + name;
  for (std::size_t i = 0; i < names.size(); ++i) {
    csv += "\n" + names[i];
    for (const double share : saved[i]) csv += "," + format_fixed(share, 4);
  }
  return csv + "\n";
}

void draw_heatmap(const AnalyseFlags& flags) {
  if (flags.sets.size() != 1) throw Error(ErrorKind::kUsage, "--heatmap is of one set", "give one SET");
  const ScratchFolder scratch;
  const SampleMatrix matrix = matrix_of_first(flags.sets[0], scratch.path() / "spool", flags.sample, flags.n_heatmap,
                                              *make_deflate_cost(9, flags.n_threads));
  const bool is_picture = flags.heatmap.ends_with(".svg");
  write_file_atomically(flags.heatmap,
                        is_picture ? draw_ordered_redundancy_map(matrix.names, matrix.saved).svg(Look::kAdaptive)
                                   : matrix_csv(matrix.names, matrix.saved));
}

void run_analyse(AnalyseFlags& flags) {
  if (flags.sets.empty() && flags.law.empty())
    throw Error(ErrorKind::kUsage, "nothing to analyse", "give SET files, or --law TABLE.csv");
  if (flags.sets.empty() && (!flags.model.empty() || flags.format != "auto" || flags.sample.text_field != "text"))
    throw Error(ErrorKind::kUsage, "--model, --format and --field are of data sets, and there is none",
                "give SET files, or leave them out");
  if (const auto ending = fs::path(flags.heatmap).extension();
      !flags.heatmap.empty() && ending != ".svg" && ending != ".csv")
    throw Error(ErrorKind::kUsage, "--heatmap " + flags.heatmap + " ends in neither .svg nor .csv",
                "name it " + fs::path(flags.heatmap).replace_extension(".svg").string());
  flags.sample.format = parse_sample_format(flags.format);
  Json json = Json::object();
  if (!flags.sets.empty()) analyse_sets(flags, json);
  if (!flags.heatmap.empty()) draw_heatmap(flags);
  if (!flags.law.empty()) fit_law(flags, json);
  if (flags.json) print(json.dump(2) + "\n");
}

}  // namespace

ReportSection samples_section(const SampleSectionRequest& request) {
  const ScratchFolder scratch;
  SampleTemplate how;
  how.text_field = request.field;
  const auto progress = make_progress(/*quiet=*/true);
  const SetStatistics statistics = analyse_set(request.path, scratch.path() / "spool", how, 0, *progress);
  const SampleMatrix matrix =
      matrix_of_first(request.path, scratch.path() / "spool", how, request.n_shown, *make_deflate_cost(9, 0));
  const std::string name = fs::path(request.path).filename().string();
  const std::string shown =
      std::ssize(matrix.names) == matrix.n_records
          ? "All " + counted(matrix.n_records, "sample")
          : "The first " + counted(std::ssize(matrix.names), "sample") + " of " + with_thousands(matrix.n_records);
  ReportSection section;
  section.title = "How redundant are the training samples?";
  section.paragraphs = {"R is raw over compressed bytes of all samples of " + name +
                        " in a row (zlib, level 9): higher is more redundant. Copies stood earlier in the file; of the "
                        "same form are those "
                        "that differ from an earlier one in case, digits and white space alone."};
  section.table = table_of({statistics}, /*has_model=*/false);
  section.figures = {{"redundancy_" + file_stem(name), "Which samples explain each other?",
                      shown + ": what share of a column's sample is saved once the row's is known. Blocks of like "
                              "samples stand side by side.",
                      draw_ordered_redundancy_map(matrix.names, matrix.saved)}};
  return section;
}

void add_select_analyse(const Command& select) {
  const auto flags = std::make_shared<AnalyseFlags>();
  const Command command = select.add_subcommand("analyse", "How redundant are these data sets? Fits the entropy law");
  command.footer(kAnalyseHelp);
  command.add_option("SET,--set", flags->sets, "data sets, as select's POOL");
  command.add_option("--format", flags->format, "auto, text, sharegpt, alpaca or messages").capture_default_str();
  command.add_option("--field", flags->sample.text_field, "the key that holds a text").capture_default_str();
  command.add_option("--model", flags->model, "a model whose bits stand beside zlib's");
  const Flag law = command.add_option("--law", flags->law, "a CSV file name,ratio,loss,score, a row a data set");
  command.add_option("--level", flags->level, "of the law's intervals")
      .in_range(0.5, 0.9999)
      .capture_default_str()
      .needs(law);
  const Flag heatmap = command.add_option(
      "--heatmap", flags->heatmap, "a file .svg or .csv for the redundancy of the first samples with each other");
  command.add_option("--heatmap-samples", flags->n_heatmap, "how many of them")
      .in_range(2, 1000)
      .capture_default_str()
      .needs(heatmap);
  command.add_option("--threads", flags->n_threads, "threads (default all)").in_range(0, 1024);
  command.add_flag("--json", flags->json, "print everything as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress");
  command.callback([flags] { run_analyse(*flags); });
}

}  // namespace lmbits::cli
