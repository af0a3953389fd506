// lmbits scaling fit: which law do these trained models follow, and how sure is that?
#include <memory>

#include "src/cli/command.h"
#include "src/cli/figure_files.h"
#include "src/cli/scaling_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/core/thread_pool.h"
#include "src/report/fit_report.h"
#include "src/report/scaling_figures.h"

namespace lmbits::cli {
namespace {

struct FitFlags {
  PointsFlags points;
  std::string law = "chinchilla", objective = "huber", optimiser = "projection", output, cutoff, draws = "own";
  std::vector<std::string> fix, tie, predict, intervals;
  double delta = 0.0;  // 0: Objective's
  bool offset = false, json = false;
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
  FitReportRequest request;
};

constexpr const char* kFitHelp =
    "Example:\n"
    "  lmbits scaling fit runs.csv --predict N=70B,D=1.4T -o law.json\n"
    "  lmbits scaling fit runs.csv --law chinchilla --objective l1 --exclude 'loss>4' --tie beta=alpha\n"
    "  lmbits scaling fit runs.csv --law data-constrained --fix alpha=0.35 --tie beta=alpha --interval all\n"
    "\n"
    "Laws: chinchilla, kaplan-n, kaplan-d, kaplan-c, kaplan-nd, data-constrained (needs U, the unique tokens), gzip\n"
    "(needs H), training (N and S, the steps). The objective is a SUM over the points of the residuals of log loss:\n"
    "huber (--delta), l1 or squares. Its minimum is searched from a whole grid of starts, what is linear in the law "
    "being\n"
    "solved for exactly (variable projection); --optimiser published-grid is Hoffmann et al.'s L-BFGS from 4500 "
    "starts.\n"
    "Intervals: bca and percentile (bootstrap over points), profile (likelihood), all. docs/method.md has the "
    "formulas,\n"
    "bench/README.md how often each kind holds the truth on published designs; --coverage measures it on yours.";

Constraints constraints_of(const FitFlags& flags, const Law& law) {
  Constraints constraints = law.default_constraints();
  const auto parameters = law.parameters();
  const auto index_of = [&](const std::string& name) {
    std::vector<std::string> names;
    for (std::size_t j = 0; j < parameters.size(); ++j) {
      if (parameters[j].name == name) return j;
      names.push_back(parameters[j].name);
    }
    throw Error(ErrorKind::kUsage, law.name() + " has no parameter \"" + name + "\"", suggestion(name, names));
  };
  for (const auto& [name, value] : parse_pairs(flags.fix, "--fix"))
    constraints[index_of(name)] = given(parameters[index_of(name)], parse_number(value, "--fix"));
  for (const auto& [name, other] : parse_pairs(flags.tie, "--tie"))
    tie(constraints, law, index_of(name), index_of(other));
  return constraints;
}

std::vector<FitInterval> intervals_of(const std::vector<std::string>& names) {
  std::vector<FitInterval> kinds;
  for (const FitInterval kind : {FitInterval::kPercentile, FitInterval::kBca, FitInterval::kProfile}) {
    const bool asked = std::find(names.begin(), names.end(), name_of(kind)) != names.end();
    const bool all = std::find(names.begin(), names.end(), "all") != names.end();
    if (asked || all) kinds.push_back(kind);
  }
  return kinds;
}

void run_fit(const FitFlags& flags) {
  const Points points = read_points(flags.points);
  const std::shared_ptr<const Law> law = make_law(flags.law, flags.offset);
  FitRequest request;
  request.objective.kind = flags.objective == "l1"        ? ObjectiveKind::kL1
                           : flags.objective == "squares" ? ObjectiveKind::kLeastSquares
                                                          : ObjectiveKind::kHuber;
  if (flags.delta > 0.0 && request.objective.kind != ObjectiveKind::kHuber)
    throw Error(ErrorKind::kUsage, "--delta is not used with --objective " + flags.objective, "it is huber's");
  if (flags.delta > 0.0) request.objective.delta = flags.delta;
  request.constraints = constraints_of(flags, *law);
  request.optimiser = flags.optimiser == "projection" ? Optimiser::kProjection : Optimiser::kPublishedGrid;
  request.n_threads = available_threads();
  FitReportRequest report_request = flags.request;
  report_request.n_threads = request.n_threads;
  report_request.keeps_refits = !flags.output.empty();
  if (!flags.intervals.empty()) report_request.intervals = intervals_of(flags.intervals);
  // Measured on its published design (bench/README.md): BCa holds R_D* a little too seldom, the minimum is flat there.
  else if (flags.law == "data-constrained")
    report_request.intervals = {FitInterval::kPercentile};
  report_request.draws_as_numpy = flags.draws == "numpy";
  if (report_request.draws_as_numpy && report_request.seed > 0xffffffffu)
    throw Error(ErrorKind::kUsage, "NumPy's seeds end at 4294967295", "give a smaller --seed");
  if (!flags.cutoff.empty()) report_request.cutoff_flops = parse_number(flags.cutoff, "--hold-out");
  for (const std::string& text : flags.predict) report_request.predictions.push_back(parse_point(text));
  const FitReport report = report_fit(fit_law(law, points.points, request), points, report_request);
  if (!flags.output.empty())
    write_file_atomically(flags.output,
                          to_json(known_law(report.fit, report.refits, points, flags.points.file)).dump() + "\n");
  if (!flags.figures.empty()) write_figures(fit_figures(report), flags.figures, flags.figure_formats);
  print(flags.json ? to_json(report).dump(2) + "\n" : to_text(report, stdout_style()));
}

}  // namespace

void add_scaling_fit(const Command& scaling) {
  const auto flags = std::make_shared<FitFlags>();
  const Command command =
      scaling.add_subcommand("fit", "Fit a scaling law, with intervals on parameters and predictions");
  add_points_flags(command, flags->points);
  command.add_option("--law", flags->law, "The form (default chinchilla)").one_of(law_names());
  command.add_flag("--offset", flags->offset, "kaplan-n, -d, -c: add an irreducible loss E");
  command.add_option("--objective", flags->objective, "huber (default), l1 or squares")
      .one_of({"huber", "l1", "squares"});
  command.add_option("--delta", flags->delta, "Where Huber's function turns linear (default 0.001)").positive();
  command.add_option("--fix", flags->fix, "NAME=VALUE: a parameter that is given");
  command.add_option("--tie", flags->tie, "beta=alpha: two parameters that are equal");
  command.add_option("--optimiser", flags->optimiser, "projection (default) or published-grid")
      .one_of({"projection", "published-grid"});
  command.add_option("--interval", flags->intervals, "bca (default), percentile (of data-constrained), profile or all")
      .one_of({"bca", "percentile", "profile", "all"});
  command.add_option("--level", flags->request.level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  command.add_option("--resamples", flags->request.n_resamples, "Bootstrap refits (default 1000)")
      .in_range(100, 1000000);
  command.add_option("--seed", flags->request.seed, "Seed of the bootstrap (default 1)");
  command
      .add_option("--draws", flags->draws,
                  "own (default), or numpy: resamples as numpy.random.seed(SEED) and choice draw them")
      .one_of({"own", "numpy"});
  command
      .add_option("--coverage", flags->request.n_coverage,
                  "Measure each kind of interval on so many made-up data sets at these points (200 take a minute)")
      .in_range(20, 100000);
  command.add_option("--predict", flags->predict, "N=70B,D=1.4T: predict the loss there; may be given several times")
      .allow_extra_args(false);
  command.add_option("--hold-out", flags->cutoff,
                     "Compute in FLOP above which points are held out (default: the upper fifth)");
  command.add_option("-o,--output", flags->output, "Also write the law with its refits, for predict and plan");
  command.add_flag("--json", flags->json, "JSON instead of text");
  add_figure_flags(command, flags->figures, flags->figure_formats);
  command.footer(kFitHelp);
  command.callback([flags] { run_fit(*flags); });
}

}  // namespace lmbits::cli
