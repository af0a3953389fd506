#include "src/scaling/run_points.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/scaling/points.h"
#include "tests/scaling/demo_family.h"
#include "tests/scaling/designs.h"

namespace lmbits {
namespace {

lmbits::Run make_run(const std::string& model, const std::string& corpus, double params, double steps,
                     double bits_per_byte) {
  lmbits::Run run;
  run.path = model + "__" + corpus + "__default";
  run.manifest = {{"model",
                   {{"name", model},
                    {"metadata",
                     {{"parameters", {{"total", params}, {"non_embedding", params / 2}}},
                      {"training", {{"step", steps}, {"tokens", steps * 4096}}}}}}},
                  {"corpus", {{"name", corpus}}},
                  {"tokenizer", {{"kind", "bytes"}}}};
  run.summary = {{"bits_per_byte", bits_per_byte}};
  return run;
}

double law(double params, double steps) { return 1.2 + 40.0 * std::pow(params, -0.4) + 8.0 * std::pow(steps, -0.35); }

std::vector<lmbits::Run> family() {
  std::vector<lmbits::Run> runs;
  for (const double params : {3e4, 1e5, 5e5, 2e6}) {
    for (const double steps : {100.0, 500.0, 3000.0}) {
      const std::string name =
          "m" + std::to_string(static_cast<int>(params)) + "-" + std::to_string(static_cast<int>(steps));
      runs.push_back(make_run(name, "prose", params, steps, law(params, steps)));
      runs.push_back(make_run(name, "code", params, steps, 0.8 * law(params, steps)));
    }
  }
  return runs;
}

TEST(RunPoints, FollowTheLawTheyWereMadeFrom) {
  std::vector<RunPoint> prose;
  for (const RunPoint& point : run_points(family()).points) {
    if (point.corpus == "prose") prose.push_back(point);
  }
  FitRequest request;
  request.objective.kind = ObjectiveKind::kLeastSquares;
  const Fit fit = fit_law(make_law("training"), training_points(prose, false), request);
  EXPECT_NEAR(std::exp(fit.p[0]), 1.2, 1e-3);
  EXPECT_NEAR(fit.p[3], 0.4, 1e-3);
  EXPECT_NEAR(fit.p[4], 0.35, 1e-3);
}

TEST(RunPoints, LeaveOutWhatSaysNothingOfItsTraining) {
  auto runs = family();
  runs[0].summary = Json();
  runs[1].manifest["model"]["metadata"].erase("training");
  const RunPoints points = run_points(runs);
  EXPECT_EQ(points.points.size(), runs.size() - 2);
  EXPECT_EQ(points.left_out.size(), 2u);
}

TEST(MeanOverCorpora, TakesModelsThatHaveAll) {
  auto runs = family();
  runs.pop_back();
  const auto means = mean_over_corpora(run_points(runs).points);
  EXPECT_EQ(means.size(), 11u);
  EXPECT_NEAR(means[0].bits_per_byte, 0.9 * law(means[0].n_total, means[0].steps), 1e-12);
}

TEST(ReadScores, TakesCsvAndJsonLines) {
  EXPECT_DOUBLE_EQ(read_scores("model,score\na,0.5\nb,0.25\n", "f", "").at("b"), 0.25);
  const std::string lines =
      "{\"model\":\"a\",\"benchmark\":\"x\",\"value\":0.5}\n{\"model\":\"a\",\"benchmark\":\"y\",\"value\":0.7}\n";
  EXPECT_DOUBLE_EQ(read_scores(lines, "f", "").at("a"), 0.6);
  EXPECT_DOUBLE_EQ(read_scores(lines, "f", "y").at("a"), 0.7);
  EXPECT_THROW(read_scores("model,points\na,1\n", "f", ""), Error);
  EXPECT_THROW(read_scores("{\"model\":\"a\"}\n", "f", ""), Error);
  EXPECT_THROW(read_scores(lines, "f", "z"), Error);
}

TEST(FitScores, RecoversASigmoidAndALine) {
  std::vector<double> x, linear, curved;
  for (double v = 1.2; v < 4.0; v += 0.2) {
    x.push_back(v);
    linear.push_back(0.9 - 0.15 * v);
    curved.push_back(0.25 + 0.75 / (1.0 + std::exp(-(4.0 - 2.0 * v))));
  }
  const auto line = fit_scores(x, linear, Downstream::kLinear, 0.0, 1.0);
  EXPECT_NEAR(line->b, -0.15, 1e-12);
  EXPECT_NEAR(line->r_squared, 1.0, 1e-12);
  const auto sigmoid = fit_scores(x, curved, Downstream::kSigmoid, 0.25, 1.0);
  EXPECT_NEAR(sigmoid->a, 4.0, 1e-6);
  EXPECT_NEAR(sigmoid->b, -2.0, 1e-6);
  EXPECT_FALSE(fit_scores({1, 2}, {1, 2}, Downstream::kLinear, 0, 1));
  EXPECT_FALSE(fit_scores({1, 1, 1}, {1, 2, 3}, Downstream::kLinear, 0, 1));
}

TEST(PredictScore, FindsABigModelsScoreFromSmallOnesAboutAsOftenAsItSays) {
  int n_bits = 0, n_score = 0;
  constexpr int kTimes = 30;
  for (int i = 0; i < kTimes; ++i) {
    Random random(3, static_cast<std::uint64_t>(i));
    std::vector<RunPoint> all = run_points(family()).points, small;
    std::map<std::string, double> scores;
    std::erase_if(all, [](const RunPoint& p) { return p.corpus != "prose"; });
    for (RunPoint& point : all) {
      point.bits_per_byte *= std::exp(0.005 * normal_draw(random));
      scores[point.model] = 0.9 - 0.15 * point.bits_per_byte + 0.01 * normal_draw(random);
      if (point.n_total < 2e6) small.push_back(point);
    }
    ScoreRequest request;
    request.n_resamples = 100;
    const ScorePrediction p = predict_score(small, scores, all.back(), request);
    n_bits += p.of_bits_per_byte->contains(*p.seen_bits_per_byte);
    n_score += p.of_score->contains(*p.seen_score);
  }
  EXPECT_GE(n_bits, 24);
  EXPECT_GE(n_score, 24);
}

TEST(RunsCsv, IsReadAsTheSamePoints) {
  const std::vector<RunPoint> family = demo_family();
  PointsRequest request;
  request.exclude = {"corpus!=prose"};
  const Points read = read_points(runs_csv(family), "runs", request);
  EXPECT_EQ(read.n_rows, 54u);
  ASSERT_EQ(read.points.size(), 18u);
  EXPECT_EQ(read.unit, LossUnit::kBitsPerByte);
  std::size_t i = 0;
  for (const RunPoint& point : family) {
    if (point.corpus != "prose") continue;
    EXPECT_EQ(read.runs[i], point.run);
    EXPECT_DOUBLE_EQ(read.points[i].loss, point.bits_per_byte);
    EXPECT_DOUBLE_EQ(*read.points[i].at(Variable::kParams), point.n_total);
    EXPECT_DOUBLE_EQ(*read.points[i].at(Variable::kFlops), *point.flops);
    EXPECT_DOUBLE_EQ(*read.points[i++].at(Variable::kSteps), point.steps);
  }
}

// Real runs: the two smaller SentencePiece sizes predict the largest model. Two sizes do not tell c from b N^-p (least squares
// give 1.35 by total and 1.42 by non-embedding parameters, with equal sums of squares), and the others' checkpoints are mostly
// of the middle of a schedule: the prediction is too high, which the interval has to allow for. By non-embedding parameters the
// score's interval, [0.725, 0.807], misses the 0.814 that were seen.
TEST(PredictScore, OfTheDemoFamilyHoldsWhatWasMeasured) {
  std::vector<RunPoint> small;
  RunPoint target;
  for (const RunPoint& point : mean_over_corpora(demo_family())) {
    if (point.tokenizer == "sentencepiece" && point.n_total < 2e6) small.push_back(point);
    if (point.model == "l-sp-3300") target = point;
  }
  ASSERT_EQ(small.size(), 7u);
  ScoreRequest request;
  request.n_resamples = 400;
  for (const Downstream form : {Downstream::kLinear, Downstream::kSigmoid}) {
    request.form = form;
    const ScorePrediction p = predict_score(small, demo_scores(), target, request);
    EXPECT_TRUE(p.of_bits_per_byte->contains(*p.seen_bits_per_byte)) << p.of_bits_per_byte->lo;
    EXPECT_NEAR(p.score, *p.seen_score, 0.06);
    EXPECT_TRUE(p.of_score->contains(*p.seen_score)) << p.of_score->lo << " " << p.of_score->hi;
    EXPECT_LT(p.of_score->hi - p.of_score->lo, 0.4);  // says something
  }
}

}  // namespace
}  // namespace lmbits
