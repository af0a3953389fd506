// lmbits scaling runs: the law that the runs on disk follow, and what it says of a bigger model's score.
#include <algorithm>
#include <map>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/figure_files.h"
#include "src/cli/scaling_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/report/fit_report.h"
#include "src/report/scaling_figures.h"
#include "src/report/wording.h"
#include "src/scaling/run_points.h"

namespace lmbits::cli {
namespace {

struct RunsFlags {
  std::string directory, scores, benchmark, target, form = "linear", csv;
  std::vector<std::string> corpora, tokenizers;
  bool non_embedding = false, json = false;
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
  ScoreRequest request;
};

constexpr const char* kRunsHelp =
    "Example:\n"
    "  lmbits scaling runs runs\n"
    "  lmbits scaling runs runs --tokenizer sentencepiece --scores scores.csv --predict l-sp-3300\n"
    "\n"
    "bits/byte = c + b / P^p + d / S^q over the runs of each corpus and tokenizer, P parameters and S training steps, "
    "which\n"
    "the bundles' metadata give; least squares of log residuals, profile intervals. Checkpoints of one training run "
    "are\n"
    "not independent, and one taken before the learning rate has decayed is worse than a run of that length would be:\n"
    "the law is of this family's schedule. With --scores and --predict MODEL, everything of as many parameters as "
    "MODEL\n"
    "or more is set aside; the law of the others predicts MODEL's bits/byte, and a line (--form sigmoid: a sigmoid "
    "from\n"
    "--chance to --ceiling) through their scores predicts its score.";

// Runs of one corpus (or the mean of all) under one tokenizer.
using Groups = std::map<std::pair<std::string, std::string>, std::vector<RunPoint>>;

bool chosen(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

Groups groups_of(const std::vector<RunPoint>& points, const RunsFlags& flags) {
  std::vector<RunPoint> kept;
  for (const RunPoint& point : points) {
    if (chosen(flags.corpora, point.corpus) && chosen(flags.tokenizers, point.tokenizer)) kept.push_back(point);
  }
  Groups groups;
  for (const RunPoint& point : kept) groups[{point.corpus, point.tokenizer}].push_back(point);
  const std::vector<RunPoint> means = mean_over_corpora(kept);
  const bool several =
      std::any_of(kept.begin(), kept.end(), [&](const RunPoint& p) { return p.corpus != kept.front().corpus; });
  if (several) {
    for (const RunPoint& point : means) groups[{"mean", point.tokenizer}].push_back(point);
  }
  return groups;
}

FitReport fit_runs(const std::vector<RunPoint>& runs, const RunsFlags& flags) {
  Points points;
  points.points = training_points(runs, flags.non_embedding);
  points.n_rows = points.points.size();
  points.unit = LossUnit::kBitsPerByte;
  FitRequest request;
  request.objective.kind = ObjectiveKind::kLeastSquares;
  FitReportRequest report;
  report.level = flags.request.level;
  report.intervals = {FitInterval::kProfile};
  return report_fit(fit_law(make_law("training"), points.points, request), points, report);
}

Table residual_table(const std::vector<RunPoint>& runs, const FitReport& report) {
  Table table;
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "params", .title = "P"},
                   {.key = "steps", .title = "S"},
                   {.key = "seen", .title = "bits/byte"},
                   {.key = "law", .title = "law"},
                   {.key = "error", .title = "off %", .decimals = 2, .sign = true}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const double predicted = report.fit.predict(report.points.points[i]);
    table.rows.push_back({{runs[i].model, static_cast<std::int64_t>(*report.points.points[i].at(Variable::kParams)),
                           static_cast<std::int64_t>(runs[i].steps), runs[i].bits_per_byte, predicted,
                           100.0 * (predicted / runs[i].bits_per_byte - 1.0)}});
  }
  return table;
}

std::string prediction_text(const ScorePrediction& p, std::size_t n_family, double level) {
  const auto seen = [](const std::optional<double>& value) {
    return value ? ", measured " + significant(*value, 4) : ", not measured";
  };
  return p.model + " from " + std::to_string(n_family) + " smaller models (" + percent_as_given(level) +
         " intervals, of what is measured):\n" + "  bits/byte  " + significant(p.bits_per_byte, 4) + " " +
         significant(p.of_bits_per_byte, 4) + seen(p.seen_bits_per_byte) + "\n" + "  score      " +
         significant(p.score, 4) + " " + significant(p.of_score, 4) + seen(p.seen_score) + "\n" + "  " +
         (p.curve.form == Downstream::kLinear
              ? "score = " + significant(p.curve.a, 4) + " + " + significant(p.curve.b, 4) + " x bits/byte"
              : "score = " + significant(p.curve.chance, 3) + " + " + significant(p.curve.ceiling - p.curve.chance, 3) +
                    " / (1 + exp(-(" + significant(p.curve.a, 4) + " + " + significant(p.curve.b, 4) +
                    " x bits/byte)))") +
         ", rmse " + significant(p.curve.rmse, 3) + ", R2 " + significant(p.curve.r_squared, 3) + "\n";
}

Json prediction_json(const ScorePrediction& p) {
  const auto interval = [](const std::optional<Interval>& i) { return i ? Json{i->lo, i->hi} : Json(nullptr); };
  return {{"model", p.model},
          {"bits_per_byte", p.bits_per_byte},
          {"bits_per_byte_interval", interval(p.of_bits_per_byte)},
          {"bits_per_byte_seen", to_json_or_null(p.seen_bits_per_byte)},
          {"score", p.score},
          {"score_interval", interval(p.of_score)},
          {"score_seen", to_json_or_null(p.seen_score)},
          {"a", p.curve.a},
          {"b", p.curve.b},
          {"rmse", p.curve.rmse},
          {"r_squared", p.curve.r_squared}};
}

std::optional<ScorePrediction> predict(const std::vector<RunPoint>& runs, const RunsFlags& flags,
                                       const std::map<std::string, double>& scores, std::size_t& n_family) {
  const auto target =
      std::find_if(runs.begin(), runs.end(), [&](const RunPoint& p) { return p.model == flags.target; });
  if (target == runs.end()) return std::nullopt;
  std::vector<RunPoint> family;
  for (const RunPoint& point : runs) {
    if (point.n_total < target->n_total) family.push_back(point);
  }
  n_family = family.size();
  ScoreRequest request = flags.request;
  request.non_embedding = flags.non_embedding;
  request.form = flags.form == "sigmoid" ? Downstream::kSigmoid : Downstream::kLinear;
  return predict_score(family, scores, *target, request);
}

// What is said of the groups, in all three forms.
struct RunsOutput {
  std::string text;
  Json json = Json::array();
  std::vector<Figure> figures;
  bool has_predicted = false;
};

void add_group(const std::string& corpus, const std::string& tokenizer, const std::vector<RunPoint>& runs,
               const RunsFlags& flags, const std::map<std::string, double>& scores, RunsOutput& output) {
  const std::string title = corpus + " · " + tokenizer;
  Json entry{{"corpus", corpus}, {"tokenizer", tokenizer}, {"n", runs.size()}, {"fit", nullptr}};
  output.text +=
      (output.text.empty() ? "" : "\n") + printable(title) + " · " + counted(std::ssize(runs), "model") + "\n\n";
  try {
    const FitReport report = fit_runs(runs, flags);
    output.text += to_text(report, stdout_style()) + "\n" + to_text(residual_table(runs, report), stdout_style());
    entry["fit"] = to_json(report);
    output.figures.push_back(runs_figure(runs, report.fit, flags.non_embedding, title));
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData) throw;
    output.text += std::string("  ! no law: ") + e.what() + "\n";
    entry["why"] = e.what();
  }
  std::size_t n_family = 0;
  if (!flags.target.empty()) {
    if (const auto prediction = predict(runs, flags, scores, n_family)) {
      output.text += "\n" + prediction_text(*prediction, n_family, flags.request.level);
      entry["prediction"] = prediction_json(*prediction);
      output.has_predicted = true;
    }
  }
  output.json.push_back(std::move(entry));
}

void run_runs(const RunsFlags& flags) {
  if (flags.target.empty() != flags.scores.empty())
    throw Error(ErrorKind::kUsage, "--scores and --predict belong together", "give both");
  const RunPoints read = run_points(read_runs(flags.directory));
  if (!flags.csv.empty()) write_file_atomically(flags.csv, runs_csv(read.points));
  const Groups groups = groups_of(read.points, flags);
  if (groups.empty())
    throw Error(ErrorKind::kData, "no run in " + flags.directory + " has parameters and training steps",
                read.left_out.empty() ? "look at --corpus and --tokenizer" : read.left_out.front());
  std::map<std::string, double> scores;
  if (!flags.scores.empty()) scores = read_scores(read_file(flags.scores), flags.scores, flags.benchmark);
  RunsOutput output;
  for (const auto& [key, runs] : groups) add_group(key.first, key.second, runs, flags, scores, output);
  if (!flags.target.empty() && !output.has_predicted)
    throw Error(ErrorKind::kUsage, "no model " + flags.target + " among the runs",
                "give a model's name with --predict");
  if (!flags.figures.empty()) write_figures(output.figures, flags.figures, flags.figure_formats);
  for (const std::string& reason : read.left_out) output.text += "  ! left out: " + printable(reason) + "\n";
  print(flags.json ? output.json.dump(2) + "\n" : output.text);
}

}  // namespace

void add_scaling_runs(const Command& scaling) {
  const auto flags = std::make_shared<RunsFlags>();
  const Command command =
      scaling.add_subcommand("runs", "The law of the runs on disk: bits/byte by parameters and steps; scores from it");
  command.add_option("DIR", flags->directory, "The folder that `lmbits eval -o` wrote").required();
  command.add_option("--corpus", flags->corpora, "Only these corpora (default all, and their mean)");
  command.add_option("--tokenizer", flags->tokenizers, "Only these kinds of tokenizer (default all, each by itself)");
  command.add_flag("--non-embedding", flags->non_embedding, "Count parameters without embeddings");
  command.add_option("--scores", flags->scores, "CSV with model,score or JSON lines with model and value");
  command.add_option("--benchmark", flags->benchmark, "Only the scores of this benchmark (default the mean of all)");
  command.add_option("--predict", flags->target, "Predict this model's score from all smaller ones");
  command.add_option("--form", flags->form, "linear (default) or sigmoid").one_of({"linear", "sigmoid"});
  command.add_option("--chance", flags->request.chance, "sigmoid: the score of guessing (default 0)");
  command.add_option("--ceiling", flags->request.ceiling, "sigmoid: the best score there is (default 1)");
  command.add_option("--level", flags->request.level, "Confidence level of the intervals (default 0.95)")
      .in_range(0.5, 0.9999);
  command.add_option("--resamples", flags->request.n_resamples, "Refits for the prediction's interval (default 1000)")
      .in_range(100, 1000000);
  command.add_option("--seed", flags->request.seed, "Their seed (default 1)");
  command.add_option("--csv", flags->csv, "Also write the runs as a CSV file, for fit, isoflop and envelope");
  command.add_flag("--json", flags->json, "JSON instead of text");
  add_figure_flags(command, flags->figures, flags->figure_formats);
  command.footer(kRunsHelp);
  command.callback([flags] { run_runs(*flags); });
}

}  // namespace lmbits::cli
