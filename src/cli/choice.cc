// lmbits choice: multiple-choice and next-word questions, scored by their bits.
#include <cstdio>
#include <memory>
#include <thread>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/json.h"
#include "src/report/table.h"

namespace lmbits::cli {
namespace {

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits choice --model small.pt --model large.pt --questions models/benchmarks/cloze-prose.jsonl -o scores\n"
    "  lmbits correlate runs --scores scores/scores.jsonl\n"
    "\n"
    "A question is a line of JSON: {id, area, kind, context, choices, answer}. The choice that needs the fewest bits "
    "behind\n"
    "the context is picked (acc), or the fewest a byte (acc_norm) or a token (acc/token). Without choices, the answer "
    "has\n"
    "to be what the model would write greedily (exact). The same command again resumes what was stopped or killed.\n"
    "-o receives scores.jsonl, results_MODEL.json in lm-eval's schema, and each question's bits in answers/.";

struct ChoiceFlags {
  ChooseRequest request;
  bool quiet = false, json = false;
};

const ChoiceMetric* find_metric(const Benchmark& benchmark, const std::string& name) {
  for (const ChoiceMetric& metric : benchmark.metrics)
    if (metric.name == name) return &metric;
  return nullptr;
}

Table results(const ChooseOutcome& outcome, double level) {
  const std::string interval = format_fixed(100 * level, 0) + " % interval";
  Table table;
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "benchmark", .title = "benchmark", .align = Align::kLeft},
                   {.key = "acc", .title = "acc or exact", .decimals = 3},
                   {.key = "interval", .title = interval, .decimals = 3, .interval = true},
                   {.key = "acc_norm", .title = "acc_norm", .decimals = 3},
                   {.key = "acc_per_token", .title = "acc/token", .decimals = 3},
                   {.key = "margin_bits", .title = "margin bits", .decimals = 2},
                   {.key = "answer_bits", .title = "bits/answer", .decimals = 2},
                   {.key = "n", .title = "n"},
                   {.key = "n_failed", .title = "failed"}};
  for (const ModelBenchmarks& result : outcome.results) {
    for (const Benchmark& b : result.benchmarks) {
      const auto value = [&](const char* name) -> Cell {
        const ChoiceMetric* metric = find_metric(b, name);
        return metric == nullptr ? Cell{} : Cell{metric->value};
      };
      const ChoiceMetric* share = find_metric(b, "acc");
      if (share == nullptr) share = find_metric(b, "exact_match");
      table.rows.push_back({{result.model, b.name, share == nullptr ? Cell{} : Cell{share->value},
                             share == nullptr ? Cell{} : Cell{Interval{*share->lo, *share->hi}}, value("acc_norm"),
                             value("acc_per_token"), value("margin_bits"), value("answer_bits"), b.n, b.n_failed}});
    }
  }
  return table;
}

Json to_json(const ChooseOutcome& outcome) {
  Json list = Json::array();
  for (const ModelBenchmarks& result : outcome.results) {
    for (const Benchmark& b : result.benchmarks) {
      Json json = {
          {"model", result.model}, {"benchmark", b.name}, {"area", b.area}, {"n", b.n}, {"n_failed", b.n_failed}};
      json["metrics"] = Json::object();
      for (const ChoiceMetric& m : b.metrics) {
        json["metrics"][m.name] = {{"value", m.value}, {"stderr", to_json_or_null(m.standard_error)}};
        json["metrics"][m.name]["interval"] = m.lo ? Json{*m.lo, *m.hi} : Json(nullptr);
      }
      list.push_back(json);
    }
  }
  return list;
}

int run(const ChoiceFlags& flags) {
  stop_cleanly_on_signals();
  const ChooseRequest& request = flags.request;
  const auto progress = make_progress(flags.quiet);
  const ChooseOutcome outcome = eval_library().choose(request, *progress);
  progress->end();
  for (const auto& [model, error] : outcome.failed_models) {
    std::fprintf(stderr, "lmbits: %s: %s\n", model.c_str(), error.what());
    if (!error.hint().empty()) std::fprintf(stderr, "  hint: %s\n", error.hint().c_str());
  }
  if (flags.json) {
    print(to_json(outcome).dump(2) + "\n");
  } else if (!outcome.results.empty() && !flags.quiet) {
    print(to_text(results(outcome, request.level), stdout_style()));
  }
  if (outcome.positions.one_by_one > 0 && !flags.quiet)
    std::fprintf(
        stderr, "%lld positions fed, %.0f %% of those of a sequence for each choice\n",
        static_cast<long long>(outcome.positions.fed),
        100.0 * static_cast<double>(outcome.positions.fed) / static_cast<double>(outcome.positions.one_by_one));
  if (outcome.interrupted) {
    std::fprintf(stderr, "stopped; every answered question is kept. To go on: the same command again\n");
  } else if (outcome.n_failed_questions > 0) {
    std::fprintf(stderr, "%lld answers failed and count nowhere; %s/answers says why\n",
                 static_cast<long long>(outcome.n_failed_questions), request.output.c_str());
  }
  return outcome.exit_code();
}

}  // namespace

void add_choice(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<ChoiceFlags>();
  ChooseRequest& request = flags->request;
  request.output = "scores";
  request.n_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const Command command =
      app.add_subcommand("choice", "Which answers to questions does each model find most probable?");
  command.footer(kHelp);
  command.add_option("--model", request.models, "PATH or NAME=PATH of a model; several allowed").required();
  command.add_option("--questions", request.questions, "a JSONL file of questions; several allowed").required();
  command.add_option("-o,--output", request.output, "folder of the results").capture_default_str();
  command.add_option("--shots", request.n_shots, "solved questions of the same kind before each")
      .in_range(0, 1000)
      .capture_default_str();
  command.add_option("--limit", request.limit, "only the first so many of each kind; 0: all")
      .in_range(0, 1 << 30)
      .capture_default_str();
  command.add_option("--threads", request.n_threads, "batches computed at a time")
      .in_range(1, 1024)
      .capture_default_str();
  command.add_option("--batch", request.batch_positions, "positions in a forward pass to aim at")
      .in_range(1, 1 << 24)
      .capture_default_str();
  command.add_option("--level", request.level, "of the intervals").in_range(0.5, 0.9999).capture_default_str();
  command.add_flag("--json", flags->json, "print the results as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress, no table");
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
