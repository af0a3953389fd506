#include "src/cli/rank_adaptive.h"

#include <cstdio>

#include "src/cli/command.h"
#include "src/cli/eval_library.h"
#include "src/cli/share.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/table.h"

namespace lmbits::cli {
namespace {

// "order", "top:3", "baseline:NAME".
void set_goal(const std::string& text, RaceRequest& request) {
  if (text == "order") return;
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon), value = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (kind == "top" && !value.empty() && value.find_first_not_of("0123456789") == std::string::npos &&
      value.size() < 6) {
    request.race.goal = RaceGoal::kTop;
    request.race.top = std::stoul(value);
    if (request.race.top >= 1 && request.race.top < request.eval.models.size()) return;
    throw Error(
        ErrorKind::kUsage,
        "--goal " + text + " asks for " + value + " of " + std::to_string(request.eval.models.size()) + " models",
        "fewer than there are, and at least one");
  }
  if (kind == "baseline" && !value.empty()) {
    request.race.goal = RaceGoal::kBaseline;
    request.baseline = value;
    return;
  }
  throw Error(ErrorKind::kUsage, "--goal is \"" + text + "\"", "order, top:3, or baseline:NAME");
}

std::string percent(double share) { return format_fixed(100.0 * share, 1) + " %"; }

// What a race over so many pieces takes at gaps and scatters of late checkpoints of one run, before anything is scored.
std::string promise(const RaceRequest& request, std::int64_t n_pieces) {
  const double n_pairs = static_cast<double>(request.eval.models.size() - 1);
  const double a = (1.0 - request.race.level) / n_pairs;
  std::string text = std::to_string(n_pieces) +
                     " pieces; where neighbours differ by 0.05 %, 0.1 %, 1 % of their bits (a piece by "
                     "0.8 %), the whole order takes about ";
  for (const double gap : {0.0005, 0.001, 0.01}) {
    if (gap > 0.0005) text += gap < 0.01 ? ", " : " and ";
    text += percent(expected_race_share(n_pieces, gap, 0.008, request.race.zone, a, request.race.tuned_share));
  }
  return text + " of the tokens; fewer for the best alone";
}

Table standings(const RaceOutcome& outcome, const RaceRequest& request) {
  Table table;
  table.columns = {{.key = "rank", .title = "rank"},
                   {.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "bits_per_byte", .title = "bits/byte ↓ (estimate)"},
                   {.key = "n_pieces", .title = "pieces"},
                   {.key = "n_tokens", .title = "tokens"},
                   {.key = "share", .title = "of all, %", .decimals = 1},
                   {.key = "claim", .title = "claim", .align = Align::kLeft}};
  const auto claim = [&](std::size_t place, std::size_t model) -> std::string {
    switch (request.race.goal) {
      case RaceGoal::kOrder:
        return "";
      case RaceGoal::kTop:
        return place < request.race.top ? "among the best " + std::to_string(request.race.top) : "not";
      case RaceGoal::kBaseline: {
        const std::string& name = outcome.models[model].name;
        if (name == request.baseline) return "baseline";
        for (std::size_t b = 0; b < outcome.models.size(); ++b) {
          if (outcome.models[b].name == request.baseline) return outcome.before[model][b] ? "better" : "worse";
        }
        return "";
      }
    }
    return "";
  };
  for (std::size_t place = 0; place < outcome.order.size(); ++place) {
    const std::size_t m = outcome.order[place];
    const RacedModel& model = outcome.models[m];
    Cell rank = static_cast<std::int64_t>(place + 1);
    if (request.race.goal != RaceGoal::kOrder) rank = std::monostate{};
    table.rows.push_back(
        {{rank, model.name, model.bits_per_byte, model.n_pieces, model.n_tokens,
          100.0 * static_cast<double>(model.n_pieces) / static_cast<double>(outcome.n_pieces), claim(place, m)}});
  }
  if (request.race.goal == RaceGoal::kOrder) table.columns.back().audience = Audience::kNone;
  return table;
}

Json as_json(const RaceOutcome& outcome, const RaceRequest& request) {
  return {{"goal", request.race.goal == RaceGoal::kOrder ? "order"
                   : request.race.goal == RaceGoal::kTop ? "top"
                                                         : "baseline"},
          {"level", request.race.level},
          {"zone", request.race.zone},
          {"n_pieces", outcome.n_pieces},
          {"token_share", outcome.token_share},
          {"compute_share", to_json_or_null(outcome.compute_share)},
          {"models", to_json(standings(outcome, request))},
          {"warnings", outcome.warnings}};
}

}  // namespace

void add_adaptive_flags(const Command& command, AdaptiveFlags& flags) {
  flags.threads = available_threads();
  const Flag adaptive = command.add_flag(
      "--adaptive", flags.adaptive, "Score models until their order is settled, and no further; DIR takes the runs");
  const auto add = [&](const Flag& option) { option.needs(adaptive).group("With --adaptive"); };
  add(command.add_option("--model", flags.models, "PATH or NAME=PATH; several, as checkpoints by step where they are"));
  add(command.add_option("--text", flags.corpora, "PATH or NAME=PATH of a text; several allowed"));
  add(command.add_option("--split", flags.split,
                         "Cut texts into pieces: a number of BYTES (default 1024), lines, none"));
  add(command.add_option("--field", flags.field, "JSONL: the key that holds the text"));
  add(command.add_option("--patch", flags.patch,
                         "Pictures and video: the order of their pixels, as in lmbits eval (default 32x64)"));
  add(command.add_option("--goal", flags.goal,
                         "order (default), top:K (which are the best K), baseline:NAME (better or worse)"));
  add(command.add_option("--zone", flags.zone,
                         "A difference that may be called either way: 0.1% or 0.001 (default 0)"));
  add(command.add_option("--threads", flags.threads, "Batches computed at a time").in_range(1, 1024));
  add(command.add_option("--dtype", flags.dtype, kDtypeHelp));
}

int run_adaptive(const AdaptiveFlags& flags, const std::string& directory, double level, std::uint64_t seed,
                 bool json) {
  stop_cleanly_on_signals();
  if (flags.models.size() < 2 || flags.corpora.empty()) {
    throw Error(ErrorKind::kUsage, "--adaptive needs two or more --model and a --text", "see lmbits rank --help");
  }
  RaceRequest request;
  request.eval.models = flags.models;
  for (const std::string& text : flags.corpora) {
    CorpusSpec spec = parse_corpus_spec(text);
    spec.field = flags.field;
    spec.split = flags.split;
    spec.patch = flags.patch;
    request.eval.corpora.push_back(spec);
  }
  request.eval.dtype = flags.dtype;
  request.eval.device = flags.device;
  request.eval.score.n_threads = flags.threads;
  request.eval.output = directory;
  request.eval.seed = seed;
  request.eval.command = "lmbits rank --adaptive";
  request.race.level = level;
  request.race.zone = parse_share(flags.zone, "--zone");
  request.race.look_growth = 1.2;  // each look brings every model back into memory
  set_goal(flags.goal, request);
  const RaceOutcome outcome = eval_library().race_models(request, [&](const RaceStatus& status) {
    if (status.n_scored == 0) {
      std::fprintf(stderr, "%s\n", promise(request, status.n_pieces).c_str());
    } else {
      std::fprintf(stderr, "%lld of %lld pieces: %zu models left\n", static_cast<long long>(status.n_scored),
                   static_cast<long long>(status.n_pieces), status.active.size());
    }
  });
  if (outcome.interrupted) {
    std::fprintf(stderr, "stopped; every scored piece is kept. To go on: the same command again\n");
    return kExitInterrupted;
  }
  if (json) {
    print(as_json(outcome, request).dump(2) + "\n");
    return 0;
  }
  print(to_text(standings(outcome, request), stdout_style()));
  std::string end = "\nSettled at " + percent(level) + " with " + percent(outcome.token_share) + " of the tokens";
  if (outcome.compute_share)
    end += " and " + percent(*outcome.compute_share) + " of the compute (tokens times parameters)";
  print(end + " of a full evaluation. It is this text's order: a claim about more text like it needs `lmbits rank`.\n");
  for (const std::string& warning : outcome.warnings) print("! " + warning + "\n");
  return 0;
}

}  // namespace lmbits::cli
