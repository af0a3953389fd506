// lmbits select: which samples of a pool say the most?
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/select_analyse.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/report/rank_report.h"
#include "src/selection/select_job.h"

namespace lmbits::cli {
namespace {

struct SelectFlags {
  SelectRequest request;
  std::string algorithm = "zip", format = "auto", cost = "zlib", model;
  std::int64_t budget_bytes = 0, budget_tokens = 0;
  int level = -1, n_threads = 0;
  std::string python;       // empty: select_job's
  std::int64_t window = 0;  // 0: 1 MiB
  bool by_zlib = false, json = false, quiet = false;
};

constexpr const char* kSelectHelp =
    "Example:\n"
    "  lmbits select pool.jsonl -o chosen.jsonl --budget 10000\n"
    "  lmbits select sharegpt.json.gz -o chosen.json --budget 1000 --k1 5000 --algorithm zip-reference\n"
    "  lmbits select analyse pool.jsonl chosen.jsonl\n"
    "\n"
    "ZIP (Yin et al. 2024, arXiv:2407.06645): greedily the samples that compress worst behind what is chosen already.\n"
    "POOL is .jsonl, .ndjson or a .json array, also as .gz or .zst: a text under --field, or conversations in the\n"
    "shape of ShareGPT, Alpaca or messages. The chosen records go to -o in the order of choice, their scores to\n"
    "OUT.choices.jsonl, settings and result to OUT.manifest.json. The same command goes on where it was stopped or\n"
    "killed, within a stage, too.\n"
    "zip-reference makes the choices of the released code, ties and overshoot included; zip, the default, meets the\n"
    "budget exactly, offers samples again that their block did not add, and takes pools smaller than --k1.";

std::string command_line() {
  std::ifstream arguments("/proc/self/cmdline", std::ios::binary);
  std::string text;
  for (std::string argument; std::getline(arguments, argument, '\0');) text += (text.empty() ? "" : " ") + argument;
  return text;
}

// What would be asked for in vain.
void refuse_unused(const SelectFlags& flags) {
  const auto refuse = [](const std::string& flag, const std::string& with, const std::string& hint) {
    throw Error(ErrorKind::kUsage, flag + " is not used with " + with, hint);
  };
  const bool is_reference = flags.algorithm == "zip-reference";
  if (!flags.python.empty() && !is_reference)
    refuse("--python", "--algorithm " + flags.algorithm, "it is zip-reference's, which compresses Python's repr()");
  if (flags.window > 0 && flags.cost != "zstd") refuse("--window", "--cost " + flags.cost, "it is --cost zstd's");
  if (flags.by_zlib && flags.cost != "zlib") refuse("--by-zlib", "--cost " + flags.cost, "it is --cost zlib's");
  if (flags.level >= 0 && flags.cost == "model") refuse("--level", "--cost model", "it is a compressor's");
  const SelectOptions& options = flags.request.options;
  if (options.max_bytes > 0 && options.min_bytes > options.max_bytes)
    throw Error(ErrorKind::kUsage,
                "--min-bytes is " + std::to_string(options.min_bytes) + " and --max-bytes " +
                    std::to_string(options.max_bytes) + ": no text is both",
                "give a larger --max-bytes");
}

void resolve(SelectFlags& flags) {
  SelectRequest& request = flags.request;
  request.options.algorithm = flags.algorithm == "zip" ? SelectAlgorithm::kZip : SelectAlgorithm::kZipReference;
  request.sample.format = parse_sample_format(flags.format);
  request.command = command_line();
  if (flags.budget_bytes > 0) {
    request.options.unit = SelectOptions::Unit::kBytes;
    request.options.budget = flags.budget_bytes;
  }
  if (flags.budget_tokens > 0) {
    request.options.unit = SelectOptions::Unit::kTokens;
    request.options.budget = flags.budget_tokens;
  }
  if (!flags.python.empty()) request.python = flags.python;
  refuse_unused(flags);
  if ((flags.cost == "model") == flags.model.empty())
    throw Error(ErrorKind::kUsage,
                flags.model.empty() ? "--cost model without a model" : "--model is not used with --cost " + flags.cost,
                "the two go together: --cost model --model FILE");
  if ((request.max_share > 0) == request.sample.group_field.empty())
    throw Error(ErrorKind::kUsage,
                request.max_share > 0 ? "--max-share without groups" : "--group without a --max-share to limit them by",
                "name the key that holds a record's group with --group, and the share of one with --max-share");
  const bool limits_groups = request.max_share > 0 || request.length_bins > 0;
  if (limits_groups && request.options.unit != SelectOptions::Unit::kSamples)
    throw Error(ErrorKind::kUsage, "--max-share and --length-bins share out a budget of samples",
                "give it with --budget");
}

void tell_context(const SelectFlags& flags, std::int64_t n_tokens) {
  if (flags.quiet) return;
  const std::string all = with_thousands(n_tokens), half = with_thousands(n_tokens / 2);
  std::fprintf(stderr,
               "the model sees %s tokens: texts of more than %s see %s of what was chosen, and only before their first "
               "%s; redundancy further back goes unseen\n",
               all.c_str(), half.c_str(), half.c_str(), half.c_str());
}

std::unique_ptr<CostModel> cost_model(const SelectFlags& flags) {
  if (flags.cost == "zlib" && flags.level > 9)
    throw Error(ErrorKind::kUsage, "--level is " + std::to_string(flags.level) + ", and zlib's levels are 0 to 9",
                "leave it out for 9, or take --cost zstd");
  if (flags.cost == "zlib") return make_deflate_cost(flags.level < 0 ? 9 : flags.level, flags.n_threads, flags.by_zlib);
  if (flags.cost == "model") {
    std::shared_ptr<ConditionalBits> bits = eval_library().open_conditional_bits(flags.model, flags.n_threads);
    tell_context(flags, bits->context_length());
    return make_model_cost(bits);
  }
  return make_zstd_cost(flags.level < 0 ? 3 : flags.level, flags.window > 0 ? flags.window : 1 << 20, flags.n_threads);
}

Table results(const Json& summary) {
  Table table;
  table.columns = {{.key = "what", .title = "", .align = Align::kLeft},
                   {.key = "samples", .title = "samples"},
                   {.key = "bytes", .title = "bytes of text"},
                   {.key = "tokens",
                    .title = "tokens",
                    .audience = summary.contains("n_tokens") ? Audience::kAll : Audience::kMachines},
                   {.key = "ratio", .title = "R (zlib 9) ↓", .decimals = 4}};
  const Cell tokens = summary.contains("n_tokens") ? Cell(summary["n_tokens"].get<std::int64_t>()) : Cell();
  const auto number = [](const Json& value) { return value.is_number() ? Cell(value.get<double>()) : Cell(); };
  table.rows.push_back({{"chosen", summary["n_chosen"].get<std::int64_t>(), summary["n_bytes"].get<std::int64_t>(),
                         tokens, number(summary["ratio"])},
                        Emphasis::kStrong});
  if (!summary["random_ratios"].is_array()) return table;
  auto ratios = summary["random_ratios"].get<std::vector<double>>();
  std::sort(ratios.begin(), ratios.end());
  const std::string name = "random, median of " + std::to_string(ratios.size());
  table.rows.push_back({{name, summary["n_chosen"].get<std::int64_t>(), Cell(), Cell(), ratios[ratios.size() / 2]}});
  return table;
}

void tell(const SelectFlags& flags, const SelectOutcome& outcome) {
  const Json& summary = outcome.summary;
  if (flags.json) {
    print(summary.dump(2) + "\n");
  } else {
    print(to_text(results(summary), stdout_style()));
  }
  if (flags.quiet) return;
  if (outcome.was_finished) std::fprintf(stderr, "finished before; nothing was computed\n");
  if (const auto n_blank = summary.value("n_blank", std::int64_t{0}); n_blank > 0)
    std::fprintf(stderr, "left out: %s without a text\n", counted(n_blank, "sample").c_str());
  if (!summary["budget_met"].get<bool>())
    std::fprintf(stderr, "the pool has nothing left that fits: the budget is not used up\n");
  if (outcome.n_scored_before > 0)
    std::fprintf(stderr, "went on from %s samples scored and %s choices of an earlier start\n",
                 with_thousands(outcome.n_scored_before).c_str(), with_thousands(outcome.n_resumed).c_str());
}

void tell_failures(const SelectOutcome& outcome) {
  for (const std::string& failure : outcome.failures) std::fprintf(stderr, "lmbits: %s\n", printable(failure).c_str());
  if (outcome.n_failed > std::ssize(outcome.failures))
    std::fprintf(stderr, "lmbits: ... %s in all\n", counted(outcome.n_failed, "unusable record").c_str());
}

int run_command(SelectFlags& flags) {
  stop_cleanly_on_signals();
  if (flags.request.pool.empty() || flags.request.output.empty())
    throw Error(ErrorKind::kUsage, flags.request.pool.empty() ? "POOL is missing" : "-o is missing",
                "see lmbits select --help");
  resolve(flags);
  const auto model = cost_model(flags);
  const auto progress = make_progress(flags.quiet);
  SelectOutcome outcome;
  try {
    run_select(flags.request, *model, *progress, outcome);
  } catch (const Error&) {
    tell_failures(outcome);
    throw;
  }
  tell_failures(outcome);
  if (outcome.is_interrupted) {
    std::fputs("stopped; all that was scored and chosen is kept. To go on: the same command again\n", stderr);
    return kExitInterrupted;
  }
  tell(flags, outcome);
  return outcome.n_failed > 0 ? kExitSomeFailed : 0;
}

}  // namespace

void add_select(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<SelectFlags>();
  SelectRequest& request = flags->request;
  const Command command =
      app.add_subcommand("select", "Choose the least redundant training samples (entropy law, ZIP)");
  command.footer(kSelectHelp);
  command.add_option("POOL,--pool", request.pool, "the samples to choose from");
  command.add_option("-o,--output", request.output, "the chosen records");
  const Flag samples = command.add_option("--budget", request.options.budget, "samples to choose (default 10000)")
                           .positive()
                           .capture_default_str();
  const Flag bytes =
      command.add_option("--budget-bytes", flags->budget_bytes, "instead: bytes of text").positive().excludes(samples);
  const Flag tokens = command.add_option("--budget-tokens", flags->budget_tokens, "instead: tokens of text")
                          .positive()
                          .excludes(samples)
                          .excludes(bytes);
  command.add_option("--tokenizer", request.tokenizer, "a SentencePiece .model that counts tokens (default: bytes)")
      .needs(tokens);
  command.add_option("--algorithm", flags->algorithm, "zip (default) or zip-reference")
      .one_of({"zip", "zip-reference"})
      .capture_default_str();
  command.add_option("--k1", request.options.k1, "samples rescored in a stage (default 10000)")
      .positive()
      .capture_default_str();
  command.add_option("--k2", request.options.k2, "of them, the block's (default 200)").positive().capture_default_str();
  command.add_option("--k3", request.options.k3, "of them, chosen (default 100)").positive().capture_default_str();
  command.add_option("--cost", flags->cost, "what measures redundancy: zlib (default), zstd or model")
      .one_of({"zlib", "zstd", "model"})
      .capture_default_str();
  command.add_option("--level", flags->level, "of the compressor (default 9 for zlib, 3 for zstd)").in_range(0, 22);
  command.add_option("--model", flags->model, "--cost model: the language model whose bits count");
  command.add_option("--window", flags->window, "zstd: bytes of the chosen set it looks back (default 1048576)")
      .in_range(1 << 10, 1 << 27);
  command.add_flag("--by-zlib", flags->by_zlib, "zlib: copies of zlib's own state only (slower, the same sizes)");
  command.add_option("--format", flags->format, "auto, text, sharegpt, alpaca or messages").capture_default_str();
  command.add_option("--field", request.sample.text_field, "the key that holds a text").capture_default_str();
  command.add_option("--python", flags->python,
                     "zip-reference: whose repr() is compressed, 3.9 to 3.13 (default 3.11)");
  command.add_option("--min-bytes", request.options.min_bytes, "leave out shorter texts").not_negative();
  command.add_option("--max-bytes", request.options.max_bytes, "leave out longer texts").not_negative();
  command.add_option("--length-bins", request.length_bins, "equal shares for this many classes of length")
      .in_range(2, 1000);
  command.add_option("--group", request.sample.group_field, "the key that holds a record's group, such as its source");
  command.add_option("--max-share", request.max_share, "of the budget for one group").in_range(0.0, 1.0);
  command
      .add_option("--min-new", request.options.min_new,
                  "leave out what adds less than this share of what it needs alone")
      .in_range(0.0, 1.0);
  command.add_option("--threads", flags->n_threads, "threads (default all); choices do not depend on it")
      .in_range(0, 1024);
  command
      .add_option("--checkpoint-seconds", request.checkpoint_every_s,
                  "at most so much work is lost by a kill, and the text or half a second it is in")
      .not_negative()
      .capture_default_str();
  command.add_option("--seed", request.seed, "of the random choices shown beside").capture_default_str();
  command.add_flag("--json", flags->json, "print the summary as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress, no notes");
  add_select_analyse(command);
  command.callback([flags, &exit_code, command] {
    if (!command.has_parsed_subcommand()) exit_code = run_command(*flags);
  });
}

}  // namespace lmbits::cli
