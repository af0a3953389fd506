// lmbits reproduce: published numbers from published tables, and published claims from own runs.
#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/figure_files.h"
#include "src/cli/join_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/huang2024_figures.h"
#include "src/report/min_k_report.h"
#include "src/report/rank_claims.h"
#include "src/report/reference_lines.h"
#include "src/report/reproduce_huang2024.h"
#include "src/report/sample_size.h"

namespace lmbits::cli {
namespace {

struct ReproduceOptions {
  std::string format = "table";
  bool json = false;
  double level = 0.95;
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
  JoinFlags join;
  SettlingOptions settling;
  MinKReport min_k;
  std::vector<std::string> models;
  double k_percent = 20.0;
};

constexpr const char* kReproduceHelp =
    "Example:\n"
    "  lmbits reproduce huang2024 --figures figures\n"
    "  lmbits reproduce chinchilla --data DIR\n"
    "  lmbits reproduce guo2024 runs --scores scores.jsonl\n"
    "  lmbits reproduce deletang2023 runs\n"
    "  lmbits reproduce sample-size runs --scores scores.jsonl\n"
    "  lmbits reproduce min-k --model a.pt --text suspected.txt --against fresh.txt\n"
    "\n"
    "huang2024 needs nothing: its tables are in the program. guo2024, deletang2023 and sample-size ask a paper's "
    "question of\n"
    "your own runs. min-k scores two texts with a model. Numbers are computed, never quoted, and set beside the "
    "printed ones.";

template <typename Report>
void print_as(const Report& report, const ReproduceOptions& options) {
  const bool json = options.json || options.format == "json";
  print(json ? to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
             : to_text(report, stdout_style()));
}

void run_huang(const ReproduceOptions& options) {
  const Huang2024 report = reproduce_huang2024(options.level);
  if (options.format == "csv" && !options.json)
    print(to_csv(report));
  else
    print_as(report, options);
  if (!options.figures.empty())
    write_figures(huang2024_figures(options.level), options.figures, options.figure_formats);
}

void run_guo(const ReproduceOptions& options) {
  const JoinInput input = read_join(options.join);
  CorrelateRequest request;
  request.level = options.level;
  request.n_threads = available_threads();
  request.join = input.request;
  print_as(rank_claims(input.table, input.scores, request), options);
}

void run_deletang(const ReproduceOptions& options) {
  const std::string& folder = options.join.compression;
  const std::vector<Run> runs = folder.empty() ? std::vector<Run>() : read_runs(folder);
  if (!folder.empty() && runs.empty())
    throw Error(ErrorKind::kData, "there is no run in " + folder, "give the folder that `lmbits eval -o` wrote");
  print_as(reference_lines(runs), options);
}

void run_sample_size(const ReproduceOptions& options) {
  const JoinInput input = read_join(options.join);
  if (input.runs.empty())
    throw Error(ErrorKind::kUsage, options.join.compression + " is no folder of runs",
                "the curve needs every document's bits: give the folder that `lmbits eval -o` wrote");
  SettlingOptions settling = options.settling;
  settling.level = options.level;
  settling.n_threads = available_threads();
  print_as(sample_size(input.runs, options.join.convention, input.scores, input.request, settling), options);
}

std::vector<ScoredToken> scored_tokens(const std::string& model, const std::string& file) {
  std::vector<ScoredToken> tokens;
  for (const TokenCost& cost : eval_library().inspect_text(model, read_file(file), {}))
    tokens.push_back({static_cast<std::int64_t>(cost.bytes.size()), cost.bits});
  return tokens;
}

// The name of a model spec: NAME=FILE's, else the file's stem.
std::string name_of(const std::string& model) {
  const std::size_t equals = model.find('=');
  return equals == std::string::npos ? std::filesystem::path(model).stem().string() : model.substr(0, equals);
}

void run_min_k(const ReproduceOptions& options) {
  MinKReport report = options.min_k;
  report.level = options.level;
  report.share = options.k_percent / 100.0;
  for (const std::string& model : options.models)
    add_model(report, name_of(model), scored_tokens(model, report.a), scored_tokens(model, report.b));
  print_as(report, options);
}

Command add_study(const Command& parent, const std::string& name, const std::string& description,
                  const std::shared_ptr<ReproduceOptions>& options, void (*run)(const ReproduceOptions&)) {
  const Command command = parent.add_subcommand(name, description);
  command.add_option("--level", options->level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  command.add_option("--format", options->format, "table (default) or json; huang2024 also csv")
      .one_of({"table", "csv", "json"});
  command.add_flag("--json", options->json, "The same as --format json");
  command.footer(kReproduceHelp);
  command.callback([options, run] { run(*options); });
  return command;
}

}  // namespace

void add_reproduce(const Command& app, int& exit_code) {
  const Command command =
      app.add_subcommand("reproduce", "Get published numbers from published tables, and claims from own runs");
  command.require_subcommand();
  command.footer(kReproduceHelp);
  const auto options = std::make_shared<ReproduceOptions>();
  add_study(command, "huang2024", "Every correlation of Huang et al. 2024 that its tables allow, printed and computed",
            options, run_huang);
  add_figure_flags(command.get_subcommand("huang2024"), options->figures, options->figure_formats);

  const Command guo = add_study(
      command, "guo2024", "Is the order by compression ratio the order by score, pair by pair?", options, run_guo);
  guo.add_option("COMPRESSION", options->join.compression, "The folder that `lmbits eval -o` wrote, or a CSV file")
      .required();
  add_join_flags(guo, options->join);
  guo.get_option("--scores").required();

  const Command deletang =
      add_study(command, "deletang2023", "Published rates on enwik9 as reference lines, own runs among them", options,
                run_deletang);
  deletang.add_option("DIR", options->join.compression,
                      "The folder that `lmbits eval -o` wrote (default: only the published lines)");

  const Command size =
      add_study(command, "sample-size", "How much text do I need until r and the order of the models settle?", options,
                run_sample_size);
  size.add_option("DIR", options->join.compression, "The folder that `lmbits eval -o` wrote").required();
  add_join_flags(size, options->join);
  size.add_option("--tolerance", options->settling.r_tolerance,
                  "r has settled where it stays this close to its final value (default 0.01)")
      .in_range(1e-6, 1.0);
  size.add_option("--orders", options->settling.n_orders, "Random orders of the text (default 1000)")
      .in_range(20, 1000000);
  size.add_option("--seed", options->settling.seed, "Seed of the orders (default 1)");

  const Command min_k =
      add_study(command, "min-k", "MIN-K% Prob: was a model trained on one of two texts?", options, run_min_k);
  min_k.add_option("--model", options->models, "A model, as for eval; may be repeated").required();
  min_k.add_option("--text", options->min_k.a, "Text A, suspected to be in the training data").required();
  min_k.add_option("--against", options->min_k.b, "Text B, of the same kind, that cannot be").required();
  min_k.add_option("--k", options->k_percent, "Percent of an example's tokens that count: the dearest (default 20)")
      .in_range(0.1, 100.0);
  min_k.add_option("--example-bytes", options->min_k.example_bytes, "Length of an example (default 2048)")
      .in_range(64, 1 << 24);
  min_k.add_option("--seed", options->min_k.seed, "Seed of the resamples (default 1)");

  add_reproduce_chinchilla(command, exit_code);
}

}  // namespace lmbits::cli
