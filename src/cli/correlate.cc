// lmbits correlate: how does compression relate to benchmark scores, and to what gzip makes of the same text?
#include <memory>

#include "src/cli/bootstrap_flags.h"
#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/figure_files.h"
#include "src/cli/join_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/correlate_figures.h"
#include "src/report/correlate_report.h"

namespace lmbits::cli {
namespace {

struct CorrelateOptions {
  JoinFlags join;
  std::string detail, format = "table", by = "bits_per_byte";
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
  bool json = false;
  CorrelateRequest request;
};

constexpr const char* kCorrelateHelp =
    "Example:\n"
    "  lmbits scores import results/*/results_*.json -o scores.jsonl\n"
    "  lmbits correlate runs --scores scores.jsonl\n"
    "  lmbits correlate compression.csv --scores scores.csv --percent --area knowledge=cc --area code=python\n"
    "\n"
    "Joins compression (runs of `lmbits eval`, or a CSV file with model and bpb_CORPUS or bpc_CORPUS columns) with "
    "scores\n"
    "(any file that `lmbits scores import` reads) by the models' names: one line an area, its benchmarks beneath, and "
    "a line\n"
    "for all areas together; then one of them in full (--detail). An area goes with the corpus of its name, or "
    "--area.\n"
    "Without --scores: the models' ratios against gzip's, per corpus and per document.\n"
    "--figures draws the overview (all areas large, three of them small), each area and its residuals.\n"
    "\n"
    "Read the whole-family interval first where models come in families or are checkpoints of one training run: they "
    "are\n"
    "not independent, and the plain intervals are too narrow then.";

CompressionMetric metric_of(const std::string& by) {
  return by == "ratio"            ? CompressionMetric::kRatio
         : by == "bits_per_char"  ? CompressionMetric::kBitsPerChar
         : by == "bits_per_token" ? CompressionMetric::kBitsPerToken
                                  : CompressionMetric::kBitsPerByte;
}

void run_correlate(const CorrelateOptions& options) {
  const JoinInput input = read_join(options.join);
  CorrelateRequest request = options.request;
  request.n_threads = available_threads();
  request.join = input.request;
  request.join.by = metric_of(options.by);
  const CorrelateReport report = correlate(input.table, input.runs, input.scores, request);
  const std::string format = options.json ? "json" : options.format;
  if (format == "json")
    print(to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  else if (format == "csv")
    print(to_csv(report));
  else if (format == "markdown")
    print(to_markdown(report));
  else
    print(to_text(report, options.detail, stdout_style()));
  if (options.figures.empty()) return;
  if (!report.join) throw Error(ErrorKind::kUsage, "--figures needs --scores", "without them there is nothing to draw");
  write_figures(correlate_figures(report), options.figures, options.figure_formats);
}

}  // namespace

void add_correlate(const Command& app, int& /*exit_code*/) {
  const auto options = std::make_shared<CorrelateOptions>();
  const Command command =
      app.add_subcommand("correlate", "Correlate compression with benchmark scores and with gzip, with intervals");
  command.add_option("COMPRESSION", options->join.compression, "The folder that `lmbits eval -o` wrote, or a CSV file")
      .required();
  add_join_flags(command, options->join);
  command.add_option("--by", options->by, "bits_per_byte (default), bits_per_char, bits_per_token or ratio")
      .one_of({"bits_per_byte", "bits_per_char", "bits_per_token", "ratio"});
  command.add_option("--detail", options->detail,
                     "The area or benchmark that is shown in full (default: the first line)");
  CorrelateRequest& request = options->request;
  add_bootstrap_flags(command, request.level, request.n_resamples, request.seed);
  command.add_option("--permutations", options->request.n_permutations, "Permutations of the tests (default 99999)")
      .in_range(99, 100000000);
  command.add_option("--format", options->format, "table (default), markdown, csv or json")
      .one_of({"table", "markdown", "csv", "json"});
  command.add_flag("--json", options->json, "The same as --format json");
  add_figure_flags(command, options->figures, options->figure_formats);
  command.footer(kCorrelateHelp);
  command.callback([options] { run_correlate(*options); });
}

}  // namespace lmbits::cli
