// lmbits report: everything that a folder of runs says, as one page.
#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/figure_files.h"
#include "src/cli/join_flags.h"
#include "src/cli/rank_flags.h"
#include "src/cli/select_analyse.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/correlate_figures.h"
#include "src/report/pairing.h"
#include "src/report/run_report.h"
#include "src/report/token_map.h"
#include "src/report/wording.h"
#include "src/store/run_directory.h"

namespace lmbits::cli {
namespace {

constexpr std::size_t kShownTextBytes = 3000;  // of a text whose tokens are drawn

struct ReportOptions {
  std::string directory, output, format, title = "How many bits?";
  std::string figures, text_file;
  JoinFlags join;
  std::vector<std::string> figure_formats = {"svg"}, text_models;
  SampleSectionRequest samples;
  bool json = false;
  RankFlags rank;
};

constexpr const char* kReportHelp =
    "Example:\n"
    "  lmbits report runs -o report.html\n"
    "  lmbits report runs -o report.html --figures figures --figure-format png\n"
    "  lmbits report runs -o report.html --scores scores.jsonl\n"
    "  lmbits report runs -o report.html --text page.txt --text-model a.pt --text-model b.pt\n"
    "  lmbits report runs -o report.html --samples chosen.jsonl\n"
    "\n"
    "The page needs no network, and scripts only for sorting and filtering; it follows the reader's light or dark "
    "setting.\n"
    "Leaderboard with ranks and their uncertainty, each corpus with bars and learning curves, documents by category "
    "(the\n"
    "folder their ids begin with), warnings, and where every number comes from. --scores adds what `lmbits correlate` "
    "says\n"
    "of compression and benchmark scores, with its pictures. --text colours a text by what each "
    "token\n"
    "costs one model, or two side by side. --samples adds how redundant a data set is, and which of its samples "
    "explain\n"
    "each other. The ending of -o chooses the format: .html, .md, .csv, .json.";

std::string format_of(const ReportOptions& options) {
  if (options.json || !options.format.empty()) return options.json ? "json" : options.format;
  const std::string ending = std::filesystem::path(options.output).extension().string();
  if (ending == ".md") return "markdown";
  return ending == ".csv" ? "csv" : ending == ".json" ? "json" : "html";
}

// "NAME=PATH" or a path, whose stem is the name then.
ScoredText scored_text(const std::string& model, const std::string& text) {
  const std::size_t equals = model.find('=');
  const std::string path = equals == std::string::npos ? model : model.substr(equals + 1);
  ScoredText scored{equals == std::string::npos ? std::filesystem::path(path).stem().string() : model.substr(0, equals),
                    {}};
  for (const TokenCost& cost : eval_library().inspect_text(path, text, ConventionOptions{}))
    scored.tokens.push_back({cost.bytes, cost.bits});
  return scored;
}

ReportSection text_section(const ReportOptions& options) {
  if (options.text_models.empty() || options.text_models.size() > 2)
    throw Error(ErrorKind::kUsage,
                "--text is scored with one or two models, not " + std::to_string(options.text_models.size()),
                "name them with --text-model");
  const std::string text = read_file(options.text_file);
  std::vector<ScoredText> sides;
  for (const std::string& model : options.text_models) sides.push_back(scored_text(model, text));
  const std::string name = std::filesystem::path(options.text_file).filename().string();
  std::string caption = "What each token of " + name + " costs, in bits a byte of the token.";
  if (sides.size() == 2)
    caption += " Right: the pieces that both models' tokens can be compared on; warm where " + sides[1].model +
               " needs more bits than " + sides[0].model + ", cool where it needs fewer.";
  if (text.size() > kShownTextBytes)
    caption += " The first " + with_thousands(kShownTextBytes) + " bytes of " +
               counted(static_cast<std::int64_t>(text.size()), "byte") + "; the heads are about all of it.";
  const std::string title = "Which text costs the bits?";
  return {title, {}, {}, {{"tokens_" + file_stem(name), title, caption, draw_token_map(sides, kShownTextBytes)}}, {}};
}

CompressionMetric compression_metric(Metric metric) {
  return metric == Metric::kRatio         ? CompressionMetric::kRatio
         : metric == Metric::kBitsPerChar ? CompressionMetric::kBitsPerChar
                                          : CompressionMetric::kBitsPerByte;
}

ReportSection scores_section(const ReportOptions& options) {
  JoinFlags flags = options.join;
  flags.compression = options.directory;
  const JoinInput input = read_join(flags);
  CorrelateRequest request;
  request.level = options.rank.request.level;
  request.seed = options.rank.request.seed;
  request.n_threads = available_threads();
  request.join = input.request;
  request.join.by = compression_metric(rank_request(options.rank).metric);
  return correlate_section(correlate(input.table, input.runs, input.scores, request));
}

std::string rendered(const RunReport& report, const std::vector<ReportSection>& sections,
                     const ReportOptions& options) {
  const std::string format = format_of(options);
  if (format == "markdown") return to_markdown(report, sections);
  if (format == "csv") return to_csv(report);
  if (format == "json") return to_json(report, sections).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return to_html(report, sections,
                 {options.title, std::string("Made by lmbits ") + LMBITS_VERSION + " from " + options.directory + "."});
}

std::vector<Run> runs_of(const ReportOptions& options) {
  std::vector<Run> runs = read_runs(options.directory);
  if (!options.join.convention.empty())
    std::erase_if(runs, [&](const Run& run) { return convention_name(run) != options.join.convention; });
  return runs;
}

void run_report(const ReportOptions& options) {
  const std::vector<Run> runs = runs_of(options);
  RunReport report = report_runs(runs, rank_request(options.rank));
  report.ranking.warnings = read_failures(options.directory);
  std::vector<ReportSection> sections;
  if (!options.join.scores.empty()) sections.push_back(scores_section(options));
  if (!options.text_file.empty()) sections.push_back(text_section(options));
  if (!options.samples.path.empty()) sections.push_back(samples_section(options.samples));
  const std::string page = rendered(report, sections, options);
  if (options.output == "-") {
    print(page);
  } else {
    write_file_atomically(options.output, page);
    print("the report: " + options.output + "\n");
  }
  if (options.figures.empty()) return;
  std::vector<Figure> figures = run_figures(report.ranking, report.training);
  for (const ReportSection& section : sections)
    figures.insert(figures.end(), section.figures.begin(), section.figures.end());
  const auto written = write_figures(figures, options.figures, options.figure_formats);
  print(counted(static_cast<std::int64_t>(written.size()), "figure") + ": " + options.figures + "\n");
}

}  // namespace

void add_report(const Command& app, int& /*exit_code*/) {
  const auto options = std::make_shared<ReportOptions>();
  const Command command =
      app.add_subcommand("report", "One self-contained HTML page of ranked runs, with figures; or md, csv, json");
  command.add_option("DIR", options->directory, "The folder that `lmbits eval -o` wrote").required();
  command.add_option("-o,--output", options->output, "The file to write; -: standard output").required();
  command
      .add_option("--format", options->format, "html, markdown, csv or json (default: by the ending of -o, else html)")
      .one_of({"html", "markdown", "csv", "json"});
  command.add_flag("--json", options->json, "The same as --format json");
  command.add_option("--title", options->title, "The page's title");
  add_rank_flags(command, options->rank);
  add_figure_flags(command, options->figures, options->figure_formats);
  add_join_flags(command, options->join);
  const Flag text = command.add_option("--text", options->text_file, "Colour this text by what its tokens cost");
  command.add_option("--text-model", options->text_models, "PATH or NAME=PATH of a model for --text; one or two")
      .needs(text);
  const Flag samples =
      command.add_option("--samples", options->samples.path,
                         "A data set (as `lmbits select` takes): how redundant it is, with a heat map");
  command.add_option("--samples-shown", options->samples.n_shown, "Samples in the heat map, the first (default 40)")
      .in_range(2, 400)
      .needs(samples);
  command.add_option("--samples-field", options->samples.field, "The key that holds a text (default text)")
      .needs(samples);
  command.footer(kReportHelp);
  command.callback([options] { run_report(*options); });
}

}  // namespace lmbits::cli
