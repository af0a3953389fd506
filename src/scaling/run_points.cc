#include "src/scaling/run_points.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/stats/linear.h"
#include "src/stats/random.h"
#include "src/store/training.h"

namespace lmbits {
namespace {

std::string text_at(const Json& json, const char* pointer) {
  const auto at = Json::json_pointer(pointer);
  return json.contains(at) && json.at(at).is_string() ? json.at(at).get<std::string>() : "";
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// Gauss-Newton with halved steps, from the line through the logits.
void fit_sigmoid(ScoreCurve& curve, const std::vector<double>& x, const std::vector<double>& y) {
  const double span = curve.ceiling - curve.chance;
  std::vector<double> logits;
  for (const double v : y) {
    const double share = std::clamp((v - curve.chance) / span, 0.01, 0.99);
    logits.push_back(std::log(share / (1.0 - share)));
  }
  const Columns line{std::vector<double>(x.size(), 1.0), x};
  const auto start = least_squares(line, logits);
  curve.a = (*start)[0];
  curve.b = (*start)[1];
  const auto squares = [&](const ScoreCurve& c) {
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(y[i] - c.at(x[i]), 2);
    return sum;
  };
  for (int step = 0; step < 100; ++step) {
    Columns jacobian = line;
    std::vector<double> left(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double s = sigmoid(curve.a + curve.b * x[i]), slope = span * s * (1.0 - s);
      jacobian[0][i] *= slope;
      jacobian[1][i] *= slope;
      left[i] = y[i] - curve.at(x[i]);
    }
    const auto move = least_squares(jacobian, left);
    if (!move) return;
    double share = 1.0;
    ScoreCurve next = curve;
    for (; share > 1e-6; share *= 0.5) {
      next.a = curve.a + share * (*move)[0];
      next.b = curve.b + share * (*move)[1];
      if (squares(next) < squares(curve)) break;
    }
    if (share <= 1e-6) return;
    curve = next;
  }
}

}  // namespace

RunPoints run_points(const std::vector<Run>& runs) {
  RunPoints result;
  for (const Run& run : runs) {
    const Training training = training_of(run);
    RunPoint point;
    point.model = text_at(run.manifest, "/model/name");
    point.run = training.run;
    point.corpus = text_at(run.manifest, "/corpus/name");
    point.tokenizer = text_at(run.manifest, "/tokenizer/kind");
    const bool is_trained = training.parameters.value_or(0.0) > 0.0 && training.step.value_or(0.0) > 0.0;
    const bool is_scored = run.summary.is_object() && run.summary.value("bits_per_byte", Json()).is_number();
    const std::string name = run.path.filename().string();
    if (!is_scored)
      result.left_out.push_back(name + ": unfinished, or nothing scored");
    else if (!is_trained)
      result.left_out.push_back(name + ": the bundle gives no parameters.total and training.step");
    if (!is_scored || !is_trained) continue;
    point.n_total = *training.parameters;
    point.n_non_embedding = training.non_embedding.value_or(point.n_total);
    point.steps = *training.step;
    point.tokens = training.tokens;
    point.flops = training.flops;
    point.bits_per_byte = run.summary["bits_per_byte"].get<double>();
    result.points.push_back(point);
  }
  return result;
}

std::vector<RunPoint> mean_over_corpora(const std::vector<RunPoint>& points) {
  std::set<std::string> corpora;
  std::map<std::string, std::vector<const RunPoint*>> by_model;
  for (const RunPoint& point : points) {
    corpora.insert(point.corpus);
    by_model[point.model].push_back(&point);
  }
  std::vector<RunPoint> means;
  for (const auto& [model, of] : by_model) {
    if (of.size() != corpora.size()) continue;
    RunPoint mean = *of.front();
    mean.corpus = "mean";
    mean.bits_per_byte = 0.0;
    for (const RunPoint* point : of) mean.bits_per_byte += point->bits_per_byte / static_cast<double>(of.size());
    means.push_back(mean);
  }
  return means;
}

std::vector<ScalingPoint> training_points(const std::vector<RunPoint>& points, bool non_embedding) {
  std::vector<ScalingPoint> all;
  for (const RunPoint& point : points) {
    ScalingPoint p;
    p.label = point.model + " on " + point.corpus;
    p.at(Variable::kParams) = non_embedding ? point.n_non_embedding : point.n_total;
    p.at(Variable::kTokens) = point.tokens;
    p.at(Variable::kSteps) = point.steps;
    p.loss = point.bits_per_byte;
    all.push_back(p);
  }
  return all;
}

std::string runs_csv(const std::vector<RunPoint>& points) {
  const auto number = [](const std::optional<double>& value) {
    char text[40] = "";
    if (value) std::snprintf(text, sizeof text, "%.17g", *value);
    return std::string(text);
  };
  std::string csv = "model,run,corpus,tokenizer,N,non_embedding,D,C,S,bits_per_byte\n";
  for (const RunPoint& p : points) {
    csv += csv_cell(p.model) + "," + csv_cell(p.run) + "," + csv_cell(p.corpus) + "," + csv_cell(p.tokenizer) + "," +
           number(p.n_total) + "," + number(p.n_non_embedding) + "," + number(p.tokens) + "," + number(p.flops) + "," +
           number(p.steps) + "," + number(p.bits_per_byte) + "\n";
  }
  return csv;
}

std::map<std::string, double> read_scores(std::string_view text, const std::string& source,
                                          const std::string& benchmark) {
  std::map<std::string, std::pair<double, int>> sums;
  const auto add = [&](const std::string& model, const std::string& of, double value) {
    if (!benchmark.empty() && of != benchmark) return;
    sums[model].first += value;
    ++sums[model].second;
  };
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    for (std::size_t at = 0, line = 1; at < text.size(); ++line) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view row = text.substr(at, end - at);
      at = end + 1;
      if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const Json json = Json::parse(row, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object() || !json.contains("model") || !json["model"].is_string() || !json.contains("value"))
        throw Error(ErrorKind::kData, source + ":" + std::to_string(line) + ": no score",
                    "a line is {\"model\": NAME, \"value\": NUMBER}");
      if (json["value"].is_number())
        add(json["model"].get<std::string>(), text_at(json, "/benchmark"), json["value"].get<double>());
    }
  } else {
    const CsvTable table = parse_csv(text, source);
    const auto model = table.find("model"), of = table.find("benchmark");
    const auto value = table.find("score") ? table.find("score") : table.find("value");
    if (!model || !value) throw Error(ErrorKind::kData, source + ": no columns model and score", "write model,score");
    for (const CsvRow& row : table.rows) {
      if (const auto number = csv_number(table, row, *value)) add(row.cells[*model], of ? row.cells[*of] : "", *number);
    }
  }
  if (sums.empty())
    throw Error(ErrorKind::kData, source + " holds no score" + (benchmark.empty() ? "" : " of " + benchmark));
  std::map<std::string, double> scores;
  for (const auto& [model, sum] : sums) scores[model] = sum.first / sum.second;
  return scores;
}

double ScoreCurve::at(double x) const {
  return form == Downstream::kLinear ? a + b * x : chance + (ceiling - chance) * sigmoid(a + b * x);
}

std::optional<ScoreCurve> fit_scores(const std::vector<double>& x, const std::vector<double>& y, Downstream form,
                                     double chance, double ceiling) {
  if (x.size() < 3) return std::nullopt;
  const auto line = least_squares({std::vector<double>(x.size(), 1.0), x}, y);
  if (!line) return std::nullopt;
  ScoreCurve curve{form, (*line)[0], (*line)[1], chance, ceiling};
  if (form == Downstream::kSigmoid) fit_sigmoid(curve, x, y);
  double mean = 0.0, left = 0.0, total = 0.0;
  for (const double v : y) mean += v / static_cast<double>(y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    left += std::pow(y[i] - curve.at(x[i]), 2);
    total += std::pow(y[i] - mean, 2);
  }
  curve.rmse = std::sqrt(left / static_cast<double>(x.size()));
  curve.r_squared = total > 0.0 ? 1.0 - left / total : 1.0;
  return curve;
}

namespace {

// What the second step is fitted to: the family's models that have a score.
struct ScoredFamily {
  std::vector<double> bits_per_byte, scores;
};

ScoredFamily scored_family(const std::vector<RunPoint>& family, const std::map<std::string, double>& scores) {
  ScoredFamily scored;
  for (const RunPoint& point : family) {
    const auto score = scores.find(point.model);
    if (score == scores.end()) continue;
    scored.bits_per_byte.push_back(point.bits_per_byte);
    scored.scores.push_back(score->second);
  }
  return scored;
}

double inflation(std::size_t n, std::size_t k) {
  return std::sqrt(static_cast<double>(n) / std::max(static_cast<double>(n) - static_cast<double>(k), 1.0));
}

// Both steps again and again, from their own residuals, and one residual of each on top.
void add_intervals(ScorePrediction& result, const std::vector<ScalingPoint>& points, const ScoredFamily& scored,
                   const ScalingPoint& at, const ScoreRequest& request) {
  const std::vector<double>& x = scored.bits_per_byte;
  const double of_law = inflation(points.size(), result.law.n_free), of_curve = inflation(x.size(), 2);
  std::vector<double> law_residuals, curve_residuals, bits, predicted;
  for (const ScalingPoint& point : points)
    law_residuals.push_back(of_law * std::log(point.loss / result.law.predict(point)));
  for (std::size_t i = 0; i < x.size(); ++i)
    curve_residuals.push_back(of_curve * (scored.scores[i] - result.curve.at(x[i])));
  for (std::int64_t b = 0; b < request.n_resamples; ++b) {
    Random random(request.seed, static_cast<std::uint64_t>(b));
    const auto draw = [&](const std::vector<double>& from) {
      return from[random.below(static_cast<std::uint32_t>(from.size()))];
    };
    std::vector<ScalingPoint> again = points;
    for (ScalingPoint& point : again) point.loss = result.law.predict(point) * std::exp(draw(law_residuals));
    const Parameters p = refit(result.law, again, std::vector<double>(again.size(), 1.0));
    std::vector<double> scores_again;
    for (const double value : x) scores_again.push_back(result.curve.at(value) + draw(curve_residuals));
    const auto curve_again = fit_scores(x, scores_again, request.form, request.chance, request.ceiling);
    bits.push_back(std::exp(result.law.law->log_loss(p, observe(at)) + draw(law_residuals)));
    predicted.push_back(curve_again->at(bits.back()) + draw(curve_residuals));
  }
  result.of_bits_per_byte =
      bootstrap_interval(bits, result.bits_per_byte, 0.0, request.level, IntervalMethod::kPercentile);
  result.of_score = bootstrap_interval(predicted, result.score, 0.0, request.level, IntervalMethod::kPercentile);
}

}  // namespace

ScorePrediction predict_score(const std::vector<RunPoint>& family, const std::map<std::string, double>& scores,
                              const RunPoint& target, const ScoreRequest& request) {
  ScorePrediction result;
  result.model = target.model;
  FitRequest fit_request;
  fit_request.objective.kind = ObjectiveKind::kLeastSquares;
  const std::vector<ScalingPoint> points = training_points(family, request.non_embedding);
  const ScalingPoint at = training_points({target}, request.non_embedding)[0];
  result.law = fit_law(make_law("training"), points, fit_request);
  const ScoredFamily scored = scored_family(family, scores);
  const auto curve = fit_scores(scored.bits_per_byte, scored.scores, request.form, request.chance, request.ceiling);
  if (!curve)
    throw Error(ErrorKind::kData,
                std::to_string(scored.scores.size()) +
                    " models of the family have a score, and the second step needs 3 of different bits/byte",
                "score more models");
  result.curve = *curve;
  result.bits_per_byte = result.law.predict(at);
  result.score = result.curve.at(result.bits_per_byte);
  result.seen_bits_per_byte = target.bits_per_byte;
  if (const auto seen = scores.find(target.model); seen != scores.end()) result.seen_score = seen->second;
  add_intervals(result, points, scored, at, request);
  return result;
}

}  // namespace lmbits
