#include "src/report/correlate_report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

// n models of which score = 0.9 - slope * bits + noise.
Panel panel_of(std::size_t n, double slope, double noise, const std::string& family = "") {
  Panel panel;
  panel.kind = PanelKind::kArea;
  panel.area = "prose";
  panel.corpora = {"prose"};
  Random random(2, 0);
  for (std::size_t i = 0; i < n; ++i) {
    const double x = 1.0 + 1.5 * random.uniform(), off = normal_quantile(0.5 * random.uniform() + 0.25);
    const std::string model = "m" + std::to_string(i);
    panel.points.push_back({model, family.empty() ? model : family, x, 0.9 - slope * x + noise * off, std::nullopt,
                            10.0 - 2.0 * x, std::pow(10.0, 9.0 - x + 0.3 * off)});
  }
  return panel;
}

PanelResult analysed(const Panel& panel, const std::string& family_kind = "families") {
  return analyse(panel, CompressionMetric::kBitsPerByte, family_kind, {.n_resamples = 500, .n_permutations = 999});
}

bool warns(const PanelResult& result, const std::string& of) {
  for (const std::string& warning : result.warnings)
    if (warning.find(of) != std::string::npos) return true;
  return false;
}

CorrelateReport report_of(const Panel& panel, const std::string& family_kind = "families") {
  CorrelateReport report;
  report.request = {.n_resamples = 500, .n_permutations = 999};
  report.family_kind = family_kind;
  report.join.emplace();
  report.panels = {analysed(panel, family_kind)};
  return report;
}

TEST(Correlate, SaysPlainlyWhatItFinds) {
  const std::string strong = to_text(report_of(panel_of(15, 0.3, 0.02)), "", {.width = 4000});
  EXPECT_NE(strong.find("A very strong linear relation: r = -0.9"), std::string::npos) << strong;
  EXPECT_NE(strong.find("Models that compress better score higher."), std::string::npos);
  const std::string none = to_text(report_of(panel_of(15, 0.0, 0.02)), "", {.width = 4000});
  EXPECT_NE(none.find("No relation is shown: r = "), std::string::npos) << none;
  EXPECT_NE(none.find("which includes 0"), std::string::npos);
  const std::string wrong = to_text(report_of(panel_of(15, -0.3, 0.02)), "", {.width = 4000});
  EXPECT_NE(wrong.find("Contrary to expectation, models that compress better score lower."), std::string::npos)
      << wrong;
}

TEST(Correlate, WarnsOfFewModels) {
  EXPECT_TRUE(warns(analysed(panel_of(2, 0.3, 0.02)), "only 2 models: nothing can be said"));
  EXPECT_TRUE(warns(analysed(panel_of(7, 0.3, 0.02)), "only 7 models: any r from"));
  EXPECT_FALSE(warns(analysed(panel_of(12, 0.3, 0.02)), "only"));
}

TEST(Correlate, WarnsOfFamiliesAndTrainingRuns) {
  Panel panel = panel_of(12, 0.3, 0.02);
  for (std::size_t i = 0; i < 12; ++i) panel.points[i].family = i < 7 ? "big" : "f" + std::to_string(i);
  EXPECT_TRUE(warns(analysed(panel), "one family dominates: big is 7 of 12 models"));
  for (std::size_t i = 0; i < 12; ++i) panel.points[i].family = "run" + std::to_string(i / 3);
  const PanelResult runs = analysed(panel, "training runs");
  EXPECT_TRUE(warns(runs, "the 12 points are checkpoints of 4 training runs"));
  EXPECT_TRUE(runs.association.pearson.clusters);
  for (std::size_t i = 0; i < 12; ++i) panel.points[i].family = "run" + std::to_string(i / 6);
  EXPECT_TRUE(warns(analysed(panel), "only 2 families: too few to resample them whole"));
  EXPECT_FALSE(warns(analysed(panel_of(12, 0.3, 0.02)), "famil"));
}

TEST(Correlate, WarnsOfNarrowRangesAndNoisyScores) {
  Panel panel = panel_of(12, 0.3, 0.02);
  EXPECT_FALSE(warns(analysed(panel), "close together"));
  for (JoinedPoint& point : panel.points) point.y_error = 0.05;
  EXPECT_TRUE(warns(analysed(panel), "sampling error"));
  for (JoinedPoint& point : panel.points) point.y_error = 0.005;
  EXPECT_FALSE(warns(analysed(panel), "sampling error"));
  for (JoinedPoint& point : panel.points) point.x = 1.5 + 0.01 * point.x;
  EXPECT_TRUE(warns(analysed(panel), "close together"));
}

TEST(Correlate, WarnsOfOneModelThatCarriesIt) {
  Panel panel = panel_of(12, 0.0, 0.02);
  panel.points[4].x = 6.0;
  panel.points[4].y = 0.1;
  const PanelResult result = analysed(panel);
  EXPECT_TRUE(warns(result, "one model carries much of it: without m4 r is"));
  EXPECT_GT(*result.association.influences[4].cooks_distance, 1.0);
}

TEST(Correlate, WarnsWhereBitsPerTokenFlipsTheSign) {
  EXPECT_TRUE(warns(analysed(panel_of(12, 0.3, 0.02)), "by bits/token r would be +"));
}

TEST(Correlate, HoldsParametersFixed) {
  const PanelResult result = analysed(panel_of(15, 0.3, 0.05));
  ASSERT_TRUE(result.given_parameters);
  EXPECT_EQ(result.given_parameters->n, 15u);
  EXPECT_LT(*result.given_parameters->r, -0.5);
  Panel panel = panel_of(15, 0.3, 0.05);
  for (JoinedPoint& point : panel.points) point.parameters.reset();
  EXPECT_FALSE(analysed(panel).given_parameters);
}

TEST(Correlate, AsksWhetherModelsGainWhereGzipGains) {
  std::vector<ScoredRun> runs;
  for (int m = 0; m < 2; ++m) {
    ScoredRun run = make_run("m" + std::to_string(m), "novel", some_bits(30, 2.0));
    for (std::size_t i = 0; i < run.records.size(); ++i) {
      DocumentRecord& record = run.records[i];
      const double gzip_ratio = 2.0 + 0.1 * static_cast<double>(i);
      record.baselines["gzip-9"] = static_cast<std::int64_t>(static_cast<double>(record.n_bytes) / gzip_ratio);
      const double model_ratio = m == 0 ? 1.5 * gzip_ratio : 10.0 - gzip_ratio;
      record.bits = 8.0 * static_cast<double>(record.n_bytes) / model_ratio;
    }
    run.summary["ratio"] = 4.5;
    run.summary["bits_per_byte"] = 8.0 / 4.5;
    runs.push_back(run);
  }
  const CorrelateReport report = correlate(compression_of_runs(runs, ""), runs, {}, {});
  ASSERT_EQ(report.gzip_documents.size(), 2u);
  EXPECT_NEAR(*report.gzip_documents[0].spearman, 1.0, 0.01);
  EXPECT_NEAR(*report.gzip_documents[1].spearman, -1.0, 0.01);
  EXPECT_GT(*report.gzip_documents[0].given_size, 0.99);
  ASSERT_EQ(report.gzip.size(), 1u);
  EXPECT_DOUBLE_EQ(report.gzip[0].gzip_ratio, 4.0);
  EXPECT_NE(to_text(report, "", {.width = 4000}).find("in 1 of 2 runs"), std::string::npos);
}

TEST(Correlate, RefusesToCorrelateWithNothing) {
  const CompressionTable table = compression_of_csv(parse_csv("model,bpb_x\na,1\n", "c"));
  EXPECT_THROW(correlate(table, {}, {}, {}), Error);
}

TEST(Correlate, JsonHasWhatAPictureNeeds) {
  const Json json = to_json(report_of(panel_of(12, 0.3, 0.02)));
  const Json& panel = json["panels"][0];
  EXPECT_EQ(panel["points"].size(), 12u);
  for (const char* key : {"model", "family", "x", "y", "predicted", "prediction", "cooks_distance", "r_without"})
    EXPECT_TRUE(panel["points"][0].contains(key)) << key;
  for (const char* key : {"slope", "intercept", "x_mean", "x_ss", "residual_sd", "n"})
    EXPECT_TRUE(panel["fit"].contains(key)) << key;
  EXPECT_TRUE(panel["association"]["pearson"]["bca"].is_array());
  EXPECT_TRUE(panel["association"]["theil_sen_intercept"]["formula"].is_null());
}

TEST(Correlate, CsvHasALineANumber) {
  const std::string csv = to_csv(report_of(panel_of(12, 0.3, 0.02)));
  EXPECT_TRUE(csv.starts_with("kind,area,benchmark,metric,n,number,value,formula_lo,formula_hi,bca_lo,bca_hi,")) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 10);
}

TEST(Correlate, ShowsThePanelAskedFor) {
  const CorrelateReport report = report_of(panel_of(12, 0.3, 0.02));
  EXPECT_NE(to_text(report, "prose", {}).find("m11"), std::string::npos);
  EXPECT_THROW(to_text(report, "prosa", {}), Error);
}

TEST(Correlate, StaysWithinTheTerminal) {
  const std::string text = to_text(report_of(panel_of(12, 0.3, 0.02)), "", {.width = 100});
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    EXPECT_LE(display_width(text.substr(begin, end - begin)), 100u) << text.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(Correlate, KnowsThatFewerBitsAnAnswerAreBetter) {
  Panel panel = panel_of(15, -3.0, 0.02);  // the score rises with the bits: 9 points a bit
  panel.lower_is_better = true;
  const std::string text = to_text(report_of(panel), "", {.width = 4000});
  EXPECT_NE(text.find("against scores ↓"), std::string::npos) << text;
  EXPECT_NE(text.find("Models that compress better score lower, which is better here."), std::string::npos) << text;
  EXPECT_NE(text.find("0.1 bits/byte less goes with -0.30"), std::string::npos) << text;
  EXPECT_EQ(text.find("points of score"), std::string::npos);
  panel = panel_of(15, 3.0, 0.02);
  panel.lower_is_better = true;
  EXPECT_NE(to_text(report_of(panel), "", {.width = 4000})
                .find("Contrary to expectation, models that compress better score higher, which is worse here."),
            std::string::npos);
}

TEST(Correlate, NamesTheModelWithoutWhichThereIsNothing) {
  Panel panel = panel_of(8, 0.0, 0.0);
  for (JoinedPoint& point : panel.points) point.y = 0.25;
  panel.points[5].y = 0.5;
  const PanelResult result = analysed(panel);
  EXPECT_TRUE(warns(result, "one model carries all of it: without m5 one side is constant"));
  EXPECT_NE(to_text(report_of(panel), "", {.width = 4000}).find("moves r most: m5, without it there is no correlation"),
            std::string::npos);
}

}  // namespace
}  // namespace lmbits
