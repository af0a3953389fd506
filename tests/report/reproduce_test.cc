// Published numbers and claims.
#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/min_k_report.h"
#include "src/report/rank_claims.h"
#include "src/report/reference_lines.h"
#include "src/report/reproduce_huang2024.h"
#include "src/report/sample_size.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

const Huang2024& huang() {
  static const Huang2024 report = reproduce_huang2024(0.95);
  return report;
}

const ReproducedFit& fit_of(const std::string& what) {
  for (const ReproducedFit& fit : huang().fits)
    if (fit.what == what) return fit;
  throw std::runtime_error("no fit of " + what);
}

TEST(Huang2024, GetsTheHeadlinesToThePrintedDigits) {
  for (const char* what : {"overall", "knowledge average", "coding average", "math average",
                           "knowledge average on python", "knowledge mmlu_default_style"})
    EXPECT_TRUE(fit_of(what).same_digits()) << what;
  EXPECT_EQ(fit_of("overall").n, 19u);
  EXPECT_EQ(fit_of("coding average").n, 28u);
  EXPECT_EQ(fit_of("math average").n, 19u);  // 22 drawn, Qwen's three left out
}

TEST(Huang2024, GetsEveryOtherFitWithinTheTablesRounding) {
  int n_possible = 0;
  for (const ReproducedFit& fit : huang().fits) {
    if (!fit.not_possible.empty()) continue;
    ++n_possible;
    EXPECT_LT(std::abs(*fit.r - fit.printed_r), 0.005) << fit.what;
    EXPECT_LT(std::abs(*fit.rmse - fit.printed_rmse), 0.0015) << fit.what;
    EXPECT_EQ(fit.explained_by_rounding(), fit.what != "math mmlu_math") << fit.what;
    EXPECT_TRUE(fit.rounding->r.contains(*fit.r)) << fit.what;
  }
  EXPECT_EQ(n_possible, 19);
  // The one that the tables contradict is printed as if Qwen had been left in; no other row of maths is.
  for (const ReproducedFit& fit : huang().fits)
    if (fit.rounding_with_qwen) {
      EXPECT_EQ(fit.rounding_with_qwen->share() > 0.01, fit.what == "math mmlu_math") << fit.what;
    }
}

TEST(Huang2024, SaysWhatTheTablesDoNotAllow) {
  for (const char* what : {"cross pal_gsm8k on python", "knowledge mmlu on textbook"}) {
    EXPECT_FALSE(fit_of(what).not_possible.empty()) << what;
    EXPECT_FALSE(fit_of(what).r) << what;
  }
}

TEST(Huang2024, HoldsThePointsOfTheOverviewFigure) {
  const ScoreJoin join = huang2024_join();
  EXPECT_EQ(join.panels[0].kind, PanelKind::kOverall);
  EXPECT_EQ(join.panels[0].points.size(), 19u);
  EXPECT_EQ(join.areas, (std::vector<std::string>{"coding", "knowledge", "math"}));
  EXPECT_EQ(huang2024_join(true).panels[0].points.size(), 16u);
}

TEST(Huang2024, SourcesOfTheSameBitsAgree) {
  ASSERT_EQ(huang().agreements.size(), 4u);
  for (const PublishedAgreement& a : huang().agreements) {
    EXPECT_GE(a.n, 10u) << a.what;
    EXPECT_LE(std::abs(a.largest_difference), 0.0021) << a.what;
    EXPECT_GT(a.tau, 0.95) << a.what;
  }
}

TEST(ReferenceLines, AdjustedRatesAreTheRatesAndTwoBytesAParameter) {
  const ReferenceLines report = reference_lines({});
  int n_computed = 0;
  for (const RateLine& line : report.lines) {
    EXPECT_TRUE(line.published);
    if (!line.computed) continue;
    EXPECT_NEAR(*line.computed, *line.adjusted, 0.001 + 1e-9) << line.name;
    ++n_computed;
  }
  EXPECT_EQ(n_computed, 7);
  EXPECT_TRUE(report.notes.empty());
}

TEST(ReferenceLines, HoldsOwnRunsAmongThem) {
  ScoredRun run = make_run("mine", "novel", some_bits(12, 2.0));
  run.summary["ratio"] = 5.0;
  run.summary["n_bytes"] = 1000000;
  run.manifest["model"]["metadata"] = {{"parameters", {{"total", 100000}}}};
  const ReferenceLines report = reference_lines({run});
  const auto mine =
      std::find_if(report.lines.begin(), report.lines.end(), [](const RateLine& l) { return !l.published; });
  ASSERT_NE(mine, report.lines.end());
  EXPECT_DOUBLE_EQ(mine->rate, 0.2);
  EXPECT_DOUBLE_EQ(*mine->adjusted, 0.4);
  EXPECT_EQ(report.notes.size(), 1u);
}

TEST(RankClaims, CountsPairsInOrderAndJudgesTheOthersByTheirNoise) {
  const CompressionTable table = compression_of_csv(parse_csv("model,ratio_x\na,5\nb,4\nc,3\nd,2\n", "c"));
  std::vector<Score> scores;
  const auto add = [&](const char* model, double value) {
    scores.push_back({model, "q", "x", "acc", value, std::nullopt, 0.01, "f"});
  };
  add("a", 0.80);
  add("b", 0.81);  // above a, within noise
  add("c", 0.50);
  add("d", 0.60);  // above c, beyond noise
  const RankClaims report = rank_claims(table, scores, {.n_resamples = 200, .n_permutations = 99});
  const RankClaim& claim = report.claims[0];
  EXPECT_EQ(claim.n_pairs, 6u);
  EXPECT_EQ(claim.n_agreeing, 4u);
  ASSERT_EQ(claim.disordered.size(), 2u);
  EXPECT_EQ(claim.disordered[0].better_compressor, "c");
  EXPECT_EQ(claim.disordered[0].better_scorer, "d");
  EXPECT_FALSE(*claim.disordered[0].within_noise);
  EXPECT_TRUE(*claim.disordered[1].within_noise);
  EXPECT_DOUBLE_EQ(*claim.result.association.kendall.value, 2.0 / 6.0);
  EXPECT_NE(to_text(report, {.width = 4000})
                .find("The claim does not hold exactly: 4 of 6 pairs are in the same order; 1 is not"),
            std::string::npos);
}

TEST(RankClaims, TurnsBitsRound) {
  std::vector<Score> scores;
  for (const auto& [model, value] : {std::pair("a", 0.9), std::pair("b", 0.8), std::pair("c", 0.6)})
    scores.push_back({model, "q", "x", "acc", value, {}, {}, "f"});
  for (const char* metric : {"bpb", "bpc"}) {
    const CompressionTable table =
        compression_of_csv(parse_csv(std::string("model,") + metric + "_x\na,1\nb,2\nc,3\n", "c"));
    const RankClaims report = rank_claims(table, scores, {.n_resamples = 200, .n_permutations = 99});
    EXPECT_EQ(report.claims[0].n_agreeing, 3u) << metric;
    EXPECT_DOUBLE_EQ(*report.claims[0].result.association.kendall.value, 1.0) << metric;
  }
  scores[2].value = 0.85;
  const CompressionTable table = compression_of_csv(parse_csv("model,bpb_x\na,1\nb,2\nc,3\n", "c"));
  EXPECT_NE(to_text(rank_claims(table, scores, {.n_resamples = 200, .n_permutations = 99}), {.width = 4000})
                .find("they lack standard errors"),
            std::string::npos);
}

TEST(SampleSize, MakesACurveForEachCorpus) {
  std::vector<ScoredRun> runs;
  for (const double level : {1.5, 2.0, 2.5}) {
    ScoredRun run = make_run("m" + std::to_string(static_cast<int>(10 * level)), "novel", some_bits(40, level));
    run.summary["bits_per_byte"] = level;
    runs.push_back(run);
  }
  std::vector<Score> scores;
  for (const auto& [model, value] : {std::pair("m15", 0.9), std::pair("m20", 0.6), std::pair("m25", 0.5)})
    scores.push_back({model, "q", "novel", "acc", value, {}, {}, "f"});
  const SampleSizeReport report = sample_size(runs, "", scores, {}, {.n_orders = 50});
  ASSERT_EQ(report.curves.size(), 1u);
  EXPECT_EQ(report.curves[0].n_models, 3u);
  EXPECT_EQ(report.curves[0].n_units, 40u);
  EXPECT_EQ(report.curves[0].unit, "document");
  EXPECT_TRUE(report.curves[0].settling.r);
  EXPECT_LT(report.curves[0].chars_per_byte, 1.0);
  EXPECT_TRUE(to_json(report)["curves"][0]["r_settled_chars"]["interval"].is_array());
  const SampleSizeReport alone = sample_size({runs[0]}, "", {}, {}, {.n_orders = 50});
  EXPECT_TRUE(alone.curves.empty());
  EXPECT_EQ(alone.notes.size(), 1u);
}

TEST(MinKReport, CutsExamplesBetweenTokens) {
  std::vector<ScoredToken> tokens;
  for (int i = 0; i < 25; ++i) tokens.push_back({10, static_cast<double>(i % 10)});
  const std::vector<double> examples = min_k_examples(tokens, 0.2, 100);  // 250 bytes: 100, 100, and 50, which is half
  EXPECT_EQ(examples, (std::vector<double>{8.5, 8.5, 4.0}));
  tokens.pop_back();
  EXPECT_EQ(min_k_examples(tokens, 0.2, 100).size(), 2u);
}

TEST(MinKReport, RefusesTextsOfOneExample) {
  MinKReport report;
  report.a = "a.txt";
  report.b = "b.txt";
  report.example_bytes = 20;
  const std::vector<ScoredToken> one = {{20, 1.0}}, three = {{20, 1.0}, {20, 2.0}, {20, 3.0}};
  EXPECT_THROW(add_model(report, "m", one, three), Error);
  add_model(report, "m", three, three);
  EXPECT_DOUBLE_EQ(report.models[0].comparison.difference, 0.0);
  EXPECT_NE(to_text(report, {.width = 4000}).find("no sign that either text was trained on"), std::string::npos);
}

TEST(RankClaims, RefusesMetricsOfWhichLessIsBetter) {
  const CompressionTable table = compression_of_csv(parse_csv("model,ratio_x\na,5\nb,4\nc,3\n", "c"));
  std::vector<Score> scores;
  for (const char* model : {"a", "b", "c"})
    scores.push_back({model, "q", "", "answer_bits", 3.0, std::nullopt, std::nullopt, "", true});
  CorrelateRequest request;
  request.join.metric = "answer_bits";
  EXPECT_THROW(rank_claims(table, scores, request), Error);
}

}  // namespace
}  // namespace lmbits
