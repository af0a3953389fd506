// lmbits rank: which checkpoint compresses best, and how sure are we?
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/rank_adaptive.h"
#include "src/cli/rank_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/categories.h"
#include "src/report/rank_report.h"
#include "src/store/run_directory.h"

namespace lmbits::cli {
namespace {

struct RankOptions {
  std::string directory;
  std::string format = "table";
  bool json = false, no_baselines = false, categories = false;
  RankFlags rank;
  AdaptiveFlags adaptive;
};

constexpr const char* kRankHelp =
    "Example:\n"
    "  lmbits eval --model a.pt --model b.pt --corpus novel.txt --split paragraphs -o runs\n"
    "  lmbits rank runs\n"
    "  lmbits rank runs --corpus novel --format csv > ranks.csv\n"
    "  lmbits rank race --adaptive --model run-1000.pt --model run-2000.pt --text novel.txt\n"
    "\n"
    "Each corpus has its table, best model first. All models of a corpus share the bootstrap's resamples of its\n"
    "documents (of blocks of text where there are fewer than 10), so what makes a document hard for every model\n"
    "cancels in their differences. `1-3` in the rank column means: at the level asked for, this model's rank lies\n"
    "between 1 and 3. `≈` marks models tied with the best: the interval of their difference to it includes 0.\n"
    "With several corpora, overall tables follow: micro (all bits over all bytes) and macro (the mean of the "
    "corpora).\n"
    "--adaptive scores the models first: the same random pieces with all, until paired confidence sequences have "
    "settled\n"
    "the goal at --level, whatever the moment one stops; what is settled drops out early.";

RankReport categories_or_error(const std::vector<Run>& runs, const RankRequest& request) {
  std::optional<RankReport> report = rank_categories(runs, request);
  if (report) return *std::move(report);
  throw Error(ErrorKind::kData, "no corpus here has from 2 to 40 categories",
              "a corpus.json names them, or the folders that the documents' ids begin with");
}

void run_rank(const RankOptions& options) {
  RankRequest request = rank_request(options.rank);
  request.baselines = !options.no_baselines;
  const std::vector<Run> runs = read_runs(options.directory);
  RankReport report = options.categories ? categories_or_error(runs, request) : rank_runs(runs, request);
  report.warnings = read_failures(options.directory);
  const std::string format = options.json ? "json" : options.format;
  if (format == "json") {
    print(to_json(report).dump(2) + "\n");
  } else if (format == "csv") {
    print(to_csv(report));
  } else if (format == "markdown") {
    print(to_markdown(report));
  } else {
    print(to_text(report, stdout_style()));
  }
}

}  // namespace

void add_rank(const Command& app, int& exit_code) {
  const auto options = std::make_shared<RankOptions>();
  const Command command =
      app.add_subcommand("rank", "Rank the scored models, with intervals for numbers, differences and ranks");
  command.add_option("DIR", options->directory, "The folder that `lmbits eval -o` wrote").required();
  add_rank_flags(command, options->rank);
  command.add_option("--format", options->format, "table (default), markdown, csv or json")
      .one_of({"table", "markdown", "csv", "json"});
  command.add_flag("--json", options->json, "The same as --format json");
  command.add_flag("--categories", options->categories, "By category of document: a table each, micro and macro");
  command.add_flag("--no-baselines", options->no_baselines, "Leave out gzip, xz and the other compressors");
  command.add_flag("--doc-baselines", options->rank.request.document_baselines,
                   "Also the compressors on each document by itself");
  command.footer(kRankHelp);
  add_adaptive_flags(command, options->adaptive);
  command.callback([options, &exit_code] {
    if (options->adaptive.adaptive) {
      const RankRequest& request = options->rank.request;
      exit_code = run_adaptive(options->adaptive, options->directory, request.level, request.seed, options->json);
    } else {
      run_rank(*options);
    }
  });
}

}  // namespace lmbits::cli
