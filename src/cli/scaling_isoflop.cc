// lmbits scaling isoflop and envelope: compute-optimal sizes without a law of loss.
#include <memory>

#include "src/cli/command.h"
#include "src/cli/figure_files.h"
#include "src/cli/scaling_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/report/fit_report.h"
#include "src/report/scaling_figures.h"
#include "src/report/wording.h"
#include "src/scaling/isoflop.h"

namespace lmbits::cli {
namespace {

struct IsoFlopFlags {
  PointsFlags points;
  IsoFlopRequest request;
  std::vector<std::string> budgets;
  int n_grid = 1500;
  bool json = false;
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
};

std::string exponent_text(const PowerOfCompute& power) {
  return significant(power.exponent, 4) +
         (power.interval ? " " + significant(power.interval, 3) : " (no interval: too many resamples give none)");
}

std::string bias_text(const std::optional<ExponentBias>& bias) {
  if (!bias) return "";
  return "bias: on losses without noise, of a chinchilla law fitted to these runs, the method finds a = " +
         significant(bias->found_exponent, 4) + " where the truth is " + significant(bias->true_exponent, 4) + "\n";
}

Json json_of(const std::optional<ExponentBias>& bias) {
  if (!bias) return nullptr;
  return {{"true_a", bias->true_exponent}, {"found_a", bias->found_exponent}};
}

Json json_of(const PowerOfCompute& power) {
  return {{"exponent", power.exponent},
          {"interval", power.interval ? Json{power.interval->lo, power.interval->hi} : Json(nullptr)},
          {"log_k", power.log_k}};
}

// ---- isoflop ----

constexpr const char* kIsoFlopHelp =
    "Example:\n"
    "  lmbits scaling isoflop sweep.csv\n"
    "  lmbits scaling isoflop sweep.csv --budget 1e19 3e19 1e20 --json\n"
    "\n"
    "Runs of about the same compute are one budget (--tolerance), or the budgets are given (--budget). A parabola\n"
    "of the loss in log N gives each budget's N*, one in log D its D*; a and b are the slopes of log N* and log D* "
    "against\n"
    "log C. a + b is 1 where C = 6 N D is kept exactly. A budget whose minimum is not inside of its sizes is refused.\n"
    "The method has a bias: the true curve is no parabola, so where the sizes lie more to one side of the minimum, "
    "and\n"
    "more so at some budgets than at others, the slope is off even without noise. The last line measures it for your "
    "grid.";

std::string isoflop_text(const IsoFlops& result, LossUnit unit) {
  Table table;
  table.columns = {{.key = "flops", .title = "C [FLOP]"},
                   {.key = "sizes", .title = "runs"},
                   {.key = "n", .title = "N*"},
                   {.key = "d", .title = "D*"},
                   {.key = "ratio", .title = "D*/N*"},
                   {.key = "loss", .title = name_of(unit)},
                   {.key = "refused", .title = "refused", .align = Align::kLeft}};
  for (const IsoFlop& b : result.budgets) {
    const bool used = b.refused.empty();
    const auto cell = [&](double value, int digits) { return used ? Cell(significant(value, digits)) : Cell(); };
    table.rows.push_back({{significant(b.flops, 3), static_cast<std::int64_t>(b.points.size()), cell(b.n, 4),
                           cell(b.d, 4), cell(b.d / b.n, 3), cell(b.loss, 5), used ? "" : b.refused},
                          used ? Emphasis::kNone : Emphasis::kFaint});
  }
  std::string text = to_text(table, stdout_style()) + "\nN* ~ C^a, a = " + exponent_text(result.n) +
                     "\nD* ~ C^b, b = " + exponent_text(result.d) +
                     "\na + b = " + significant(result.n.exponent + result.d.exponent, 5) + "\n";
  return text + bias_text(result.bias);
}

Json isoflop_json(const IsoFlops& result) {
  Json json{{"budgets", Json::array()},
            {"a", json_of(result.n)},
            {"b", json_of(result.d)},
            {"a_plus_b", result.n.exponent + result.d.exponent},
            {"bias", json_of(result.bias)}};
  for (const IsoFlop& b : result.budgets) {
    const bool used = b.refused.empty();
    const auto value = [&](double v) { return used ? Json(v) : Json(nullptr); };
    json["budgets"].push_back({{"flops", b.flops},
                               {"n_runs", b.points.size()},
                               {"n", value(b.n)},
                               {"d", value(b.d)},
                               {"loss", value(b.loss)},
                               {"refused", used ? Json(nullptr) : Json(b.refused)}});
  }
  return json;
}

void run_isoflop(const IsoFlopFlags& flags) {
  const Points points = read_points(flags.points);
  IsoFlopRequest request = flags.request;
  request.n_threads = available_threads();
  for (const std::string& text : flags.budgets) request.budgets.push_back(parse_number(text, "--budget"));
  const IsoFlops result = isoflop(points.points, request);
  if (!flags.figures.empty())
    write_figures(isoflop_figures(points.points, result, points.unit), flags.figures, flags.figure_formats);
  print(flags.json ? isoflop_json(result).dump(2) + "\n" : isoflop_text(result, points.unit));
}

// ---- envelope ----

constexpr const char* kEnvelopeHelp =
    "Example:\n"
    "  lmbits scaling envelope curves.csv --column run=model\n"
    "\n"
    "A row a checkpoint: N, C (or D) and loss, with a column that names the run. At each of --grid values of compute "
    "the\n"
    "run with the least loss is taken, losses between checkpoints interpolated in log C. a and b leave out the ends, "
    "where\n"
    "the least or the largest size is best: a better one may lie outside. The last line measures what bias is left on\n"
    "losses without noise. It does not know of schedules: curves of one learning-rate schedule that is longer than "
    "they\n"
    "are make short budgets look worse than they are, which is approach 1's own bias.";

std::string envelope_text(const Envelope& result, LossUnit unit) {
  Table table;
  table.columns = {{.key = "flops", .title = "C [FLOP]"},
                   {.key = "run", .title = "best run", .align = Align::kLeft},
                   {.key = "n", .title = "N"},
                   {.key = "d", .title = "D"},
                   {.key = "loss", .title = name_of(unit)}};
  std::size_t last = result.curves.size();
  for (const EnvelopePoint& p : result.points) {
    if (p.curve == last) continue;  // where another one takes over
    last = p.curve;
    table.rows.push_back({{significant(p.flops, 3), result.curves[p.curve].name, significant(p.n, 4),
                           significant(p.d, 4), significant(p.loss, 5)}});
  }
  return std::to_string(result.curves.size()) + " curves, " + std::to_string(result.n_winning) +
         " of them best somewhere; from C on:\n\n" + to_text(table, stdout_style()) +
         "\nN* ~ C^a, a = " + exponent_text(result.n) + "\nD* ~ C^b, b = " + exponent_text(result.d) + "\nof " +
         counted(static_cast<std::int64_t>(result.n_fitted), "size") + " between the least and the largest\n" +
         bias_text(result.bias);
}

Json envelope_json(const Envelope& result) {
  Json json{{"n_curves", result.curves.size()}, {"n_winning", result.n_winning}, {"n_fitted", result.n_fitted},
            {"a", json_of(result.n)},           {"b", json_of(result.d)},        {"bias", json_of(result.bias)},
            {"points", Json::array()}};
  for (const EnvelopePoint& p : result.points)
    json["points"].push_back(
        {{"flops", p.flops}, {"run", result.curves[p.curve].name}, {"n", p.n}, {"d", p.d}, {"loss", p.loss}});
  return json;
}

void run_envelope(const IsoFlopFlags& flags) {
  const Points points = read_points(flags.points);
  IsoFlopRequest request = flags.request;
  request.n_threads = available_threads();
  const Envelope result = envelope(points, flags.n_grid, request);
  if (!flags.figures.empty()) write_figures(envelope_figures(result, points.unit), flags.figures, flags.figure_formats);
  print(flags.json ? envelope_json(result).dump(2) + "\n" : envelope_text(result, points.unit));
}

void add_common_flags(const Command& command, IsoFlopFlags& flags) {
  command.add_option("--level", flags.request.level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  command.add_option("--resamples", flags.request.n_resamples, "Bootstrap resamples (default 1000)")
      .in_range(100, 1000000);
  command.add_option("--seed", flags.request.seed, "Seed of the bootstrap (default 1)");
  command.add_flag("--json", flags.json, "JSON instead of text");
  add_figure_flags(command, flags.figures, flags.figure_formats);
}

}  // namespace

void add_scaling_isoflop(const Command& scaling) {
  const auto flags = std::make_shared<IsoFlopFlags>();
  const Command command =
      scaling.add_subcommand("isoflop", "Compute-optimal sizes from isoFLOP profiles (Hoffmann et al.'s approach 2)");
  add_points_flags(command, flags->points);
  command
      .add_option("--tolerance", flags->request.tolerance,
                  "How much more than its cheapest a run of one budget may cost (default 0.25)")
      .positive();
  command.add_option("--budget", flags->budgets,
                     "Only these budgets in FLOP, and the runs within the tolerance of each");
  add_common_flags(command, *flags);
  command.footer(kIsoFlopHelp);
  command.callback([flags] { run_isoflop(*flags); });
}

void add_scaling_envelope(const Command& scaling) {
  const auto flags = std::make_shared<IsoFlopFlags>();
  const Command command =
      scaling.add_subcommand("envelope", "Compute-optimal sizes from the envelope of training curves (approach 1)");
  add_points_flags(command, flags->points);
  command.add_option("--grid", flags->n_grid, "Values of compute (default 1500)").in_range(10, 100000);
  add_common_flags(command, *flags);
  command.footer(kEnvelopeHelp);
  command.callback([flags] { run_envelope(*flags); });
}

}  // namespace lmbits::cli
