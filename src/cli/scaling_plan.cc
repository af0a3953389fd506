// lmbits scaling predict and plan: what loss to expect, and what to train with a budget.
#include <memory>

#include "src/cli/command.h"
#include "src/cli/scaling_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/fit_report.h"
#include "src/report/wording.h"
#include "src/scaling/plan.h"

namespace lmbits::cli {
namespace {

constexpr const char* kSourceHelp =
    "LAW is a file that `lmbits scaling fit -o` wrote (then there are intervals), "
    "E=1.8,A=482,B=2085,alpha=.35,beta=.37,\n"
    "or a published law: hoffmann2022, hoffmann2022-rounded, besiroglu2024, kaplan2020, kaplan2020-n, kaplan2020-d,\n"
    "muennighoff2023. A gzip law is taken at the data's H (--complexity), and --blend 0.3 --with hoffmann2022 takes "
    "0.3 of its\n"
    "parameters and 0.7 of the other's.";

Cell cell_of_interval(const std::optional<Interval>& interval) {
  return interval ? Cell(significant(interval, 4)) : Cell();
}

Json json_of(const std::optional<Interval>& interval) {
  return interval ? Json{interval->lo, interval->hi} : Json(nullptr);
}

std::string heading(const KnownLaw& law) {
  std::string text = law.law->name() + " (" + printable(law.source) + "): " + law.law->equation() + "\n ";
  const auto parameters = law.law->parameters();
  for (std::size_t j = 0; j < parameters.size(); ++j)
    text += " " + parameters[j].name + " " + significant(parameters[j].shown(law.p[j]), 5);
  return text + "\n\n";
}

std::string interval_note(const KnownLaw& law, double level) {
  if (law.refits.resampled.empty())
    return "No interval: the law comes without refits. `lmbits scaling fit -o` keeps them.\n";
  return "Intervals: " + percent_as_given(level) + " BCa, " + with_thousands(std::ssize(law.refits.resampled)) +
         " refits; of the law, not of one run's luck.\n";
}

// ---- predict ----

struct PredictFlags {
  LawFlags law;
  std::vector<std::string> at;
  double level = 0.95;
  bool json = false;
};

void run_predict(const PredictFlags& flags) {
  const KnownLaw law = find_law(flags.law);
  Table table;
  table.columns = {{.key = "at", .title = "at", .align = Align::kLeft},
                   {.key = "loss", .title = name_of(law.unit)},
                   {.key = "interval", .title = percent_as_given(flags.level)}};
  Json json = Json::array();
  for (const std::string& text : flags.at) {
    const ScalingPoint point = parse_point(text);
    for (const Variable variable : law.law->variables()) {
      if (!point.at(variable))
        throw Error(ErrorKind::kUsage, text + " gives no " + symbol_of(variable),
                    "write " + symbol_of(variable) + "=VALUE too");
    }
    const Observation x = observe(point);
    const auto interval =
        law.interval([&](const Parameters& p) { return std::exp(law.law->log_loss(p, x)); }, flags.level);
    table.rows.push_back({{text, significant(law.loss(point), 5), cell_of_interval(interval)}});
    json.push_back(
        {{"at", text}, {"loss", law.loss(point)}, {"unit", name_of(law.unit)}, {"interval", json_of(interval)}});
  }
  print(flags.json ? json.dump(2) + "\n"
                   : heading(law) + to_text(table, stdout_style()) + "\n" + interval_note(law, flags.level));
}

// ---- plan ----

struct PlanFlags {
  LawFlags law;
  std::string sweep;
  std::vector<std::string> flops;
  std::string unique_tokens;
  bool json = false;
  PlanRequest request;
  SweepRequest sweep_request;
};

constexpr const char* kPlanHelp =
    "Example:\n"
    "  lmbits scaling plan besiroglu2024 --flops 5.76e23\n"
    "  lmbits scaling plan law.json --flops 1e21 1e22 1e23\n"
    "  lmbits scaling plan law.json --sweep 1e21 > sweep.txt\n"
    "\n"
    "For each budget the compute-optimal N* and D* with C = 6 N D, and for the largest one what a model of another "
    "size\n"
    "costs: `wasted` is the share of the compute that the best size would have saved at the same loss. --sweep gives "
    "the\n"
    "runs of an isoFLOP grid that costs so much in all: fit a law of your own to them.";

Table plan_table(const std::vector<PlanRow>& rows, const KnownLaw& law) {
  Table table;
  table.columns = {{.key = "flops", .title = "C [FLOP]"},
                   {.key = "n", .title = "N*"},
                   {.key = "d", .title = "D*"},
                   {.key = "ratio", .title = "D*/N*"},
                   {.key = "loss", .title = name_of(law.unit)}};
  const auto cell = [](double value, const std::optional<Interval>& interval, int digits) {
    return significant(value, digits) + (interval ? " " + significant(interval, 3) : "");
  };
  for (const PlanRow& row : rows)
    table.rows.push_back({{significant(row.flops, 4), cell(row.best.n, row.n, 3), cell(row.best.d, row.d, 3),
                           cell(row.best.d / row.best.n, row.ratio, 3), cell(row.best.loss, row.loss, 4)}});
  return table;
}

Table mis_sized_table(const std::vector<MisSized>& rows, const KnownLaw& law) {
  Table table;
  table.columns = {{.key = "factor", .title = "N / N*"},
                   {.key = "n", .title = "N"},
                   {.key = "d", .title = "D"},
                   {.key = "loss", .title = name_of(law.unit)},
                   {.key = "wasted", .title = "wasted %", .decimals = 1}};
  for (const MisSized& row : rows)
    table.rows.push_back({{significant(row.factor, 4), significant(row.n, 3), significant(row.d, 3),
                           significant(row.loss, 5), 100.0 * row.wasted},
                          row.factor == 1.0 ? Emphasis::kStrong : Emphasis::kNone});
  return table;
}

Table sweep_table(const std::vector<SweepRun>& runs) {
  Table table;
  table.columns = {{.key = "flops", .title = "C [FLOP]"},
                   {.key = "n", .title = "N"},
                   {.key = "d", .title = "D"},
                   {.key = "ratio", .title = "D/N", .decimals = 1}};
  for (const SweepRun& run : runs)
    table.rows.push_back({{significant(run.flops, 4), significant(run.n, 4), significant(run.d, 4), run.d / run.n}});
  return table;
}

Json plan_json(const KnownLaw& law, const std::vector<PlanRow>& rows, const std::vector<MisSized>& costs,
               const std::vector<SweepRun>& runs, double level) {
  Json json{{"law", law.law->name()},   {"source", law.source},       {"unit", name_of(law.unit)}, {"level", level},
            {"budgets", Json::array()}, {"mis_sized", Json::array()}, {"sweep", Json::array()}};
  for (const PlanRow& r : rows)
    json["budgets"].push_back({{"flops", r.flops},
                               {"n", r.best.n},
                               {"n_interval", json_of(r.n)},
                               {"d", r.best.d},
                               {"d_interval", json_of(r.d)},
                               {"d_per_n", r.best.d / r.best.n},
                               {"d_per_n_interval", json_of(r.ratio)},
                               {"loss", r.best.loss},
                               {"loss_interval", json_of(r.loss)}});
  for (const MisSized& m : costs)
    json["mis_sized"].push_back({{"factor", m.factor}, {"n", m.n}, {"d", m.d}, {"loss", m.loss}, {"wasted", m.wasted}});
  for (const SweepRun& s : runs) json["sweep"].push_back({{"flops", s.flops}, {"n", s.n}, {"d", s.d}});
  return json;
}

void run_plan(const PlanFlags& flags) {
  const KnownLaw law = find_law(flags.law);
  PlanRequest request = flags.request;
  for (const std::string& text : flags.flops) request.flops.push_back(parse_number(text, "--flops"));
  if (!flags.unique_tokens.empty()) request.unique_tokens = parse_number(flags.unique_tokens, "--unique-tokens");
  if (request.flops.empty() && flags.sweep.empty())
    throw Error(ErrorKind::kUsage, "neither --flops nor --sweep", "give a budget: --flops 1e22");
  for (const double flops : request.flops) {
    if (!(flops > 0.0))
      throw Error(ErrorKind::kUsage, "--flops " + significant(flops, 6) + " is not above 0",
                  "give a budget: --flops 1e22");
  }
  const std::vector<PlanRow> rows = plan(law, request);
  std::vector<MisSized> costs;
  if (!rows.empty()) costs = mis_sized(law, *std::max_element(request.flops.begin(), request.flops.end()), request);
  std::vector<SweepRun> runs;
  SweepRequest sweep_request = flags.sweep_request;
  if (!flags.sweep.empty()) {
    sweep_request.budget = parse_number(flags.sweep, "--sweep");
    runs = sweep(law, sweep_request, request);
  }
  if (flags.json) return print(plan_json(law, rows, costs, runs, request.level).dump(2) + "\n");
  std::string text = heading(law);
  if (!rows.empty()) {
    text += to_text(plan_table(rows, law), stdout_style()) + "\nanother size at the largest budget:\n\n" +
            to_text(mis_sized_table(costs, law), stdout_style()) + "\n" + interval_note(law, request.level);
  }
  if (!runs.empty())
    text += (rows.empty() ? "" : "\n") + std::string("a sweep of ") + significant(sweep_request.budget, 4) +
            " FLOP in all:\n\n" + to_text(sweep_table(runs), stdout_style());
  print(text);
}

}  // namespace

void add_scaling_predict(const Command& scaling) {
  const auto flags = std::make_shared<PredictFlags>();
  const Command command = scaling.add_subcommand("predict", "The loss to expect at N and D, with an interval");
  add_law_flags(command, flags->law);
  command.add_option("AT", flags->at, "N=70B,D=1.4T; several may be given").required();
  command.add_option("--level", flags->level, "Confidence level of the intervals (default 0.95)").in_range(0.5, 0.9999);
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.footer(std::string("Example:\n  lmbits scaling predict besiroglu2024 N=70B,D=1.4T\n  lmbits scaling predict "
                             "law.json N=7B,D=2T N=13B,D=2T\n\n") +
                 kSourceHelp);
  command.callback([flags] { run_predict(*flags); });
}

void add_scaling_plan(const Command& scaling) {
  const auto flags = std::make_shared<PlanFlags>();
  const Command command =
      scaling.add_subcommand("plan", "Compute-optimal sizes, the cost of others, and a sweep to fit a law to");
  add_law_flags(command, flags->law);
  command.add_option("--flops", flags->flops, "Training compute; several may be given");
  command.add_option("--unique-tokens", flags->unique_tokens,
                     "Data-constrained laws: unique tokens at hand (default: no limit)");
  const Flag sweep = command.add_option("--sweep", flags->sweep, "Compute for a sweep in all: prints its runs");
  command.add_option("--budgets", flags->sweep_request.n_budgets, "isoFLOP budgets of the sweep (default 5)")
      .in_range(1, 50)
      .needs(sweep);
  command.add_option("--sizes", flags->sweep_request.n_sizes, "Sizes at each (default 7)")
      .in_range(1, 100)
      .needs(sweep);
  command.add_option("--level", flags->request.level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.footer(std::string(kPlanHelp) + "\n" + kSourceHelp);
  command.callback([flags] { run_plan(*flags); });
}

}  // namespace lmbits::cli
