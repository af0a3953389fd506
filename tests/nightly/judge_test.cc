#include "src/nightly/judge.h"

#include <gtest/gtest.h>

#include "src/core/json.h"
#include "src/nightly/night_report.h"
#include "tests/nightly/nights.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

class JudgeTest : public ::testing::Test {
 protected:
  JudgeTest() {
    config.corpora = {{.path = "prose.txt", .name = "prose"}};
    config.baseline = "previous";
  }

  // Writes the run and takes it into the history.
  void score(const std::string& model, std::int64_t step, double worse, const testing::Texts* other = nullptr) {
    const lmbits::Run run = testing::make_night_run(model, step, other ? *other : texts, worse, random);
    RunWriter writer(folder / ("runs/" + model + "__prose__default"), run.manifest);
    for (const DocumentRecord& record : run.records) writer.append(record);
    writer.finish(run.summary);
  }
  std::vector<Judgement> judge() {
    History history(folder / "history.sqlite", Sqlite::Access::kWrite);
    history.import(folder / "runs");
    const std::vector<Judgement> judgements = judge_new(history, config, judged);
    for (const Judgement& judgement : judgements) judged.insert(judgement.model_fingerprint);
    models = judged_models(history, config);
    return judgements;
  }

  testing::TemporaryFolder folder;
  Random random{1, 0};
  testing::Texts texts = testing::make_texts("prose", 120, random);
  NightlyConfig config;
  std::set<std::string> judged;
  std::vector<JudgedModel> models;
};

TEST_F(JudgeTest, ComparesWithThePreviousCheckpointOfTheSameRun) {
  for (const int step : {100, 300, 200}) score("run-" + std::to_string(step), step, 0.0);
  score("other-250", 250, 0.0);
  const std::vector<Judgement> judgements = judge();
  ASSERT_EQ(judgements.size(), 4u);
  std::map<std::string, std::string> baseline;
  for (const Judgement& judgement : judgements) baseline[judgement.model] = judgement.baseline;
  EXPECT_EQ(baseline["run-100"], "");
  EXPECT_EQ(baseline["run-200"], "run-100");
  EXPECT_EQ(baseline["run-300"], "run-200");
  EXPECT_EQ(baseline["other-250"], "");
  for (const Judgement& judgement : judgements) {
    const double share = judgement.baseline.empty() ? 0.0 : 0.05 / 2.0;  // two comparisons tonight
    EXPECT_DOUBLE_EQ(judgement.alpha, share);
  }
}

TEST_F(JudgeTest, FindsARegressionAndJudgesNothingTwice) {
  score("run-100", 100, 0.0);
  EXPECT_FALSE(judge()[0].regression());
  score("run-200", 200, 0.02);
  score("run-300", 300, -0.02);
  const std::vector<Judgement> judgements = judge();
  ASSERT_EQ(judgements.size(), 2u);
  EXPECT_TRUE(judgements[0].regression());
  EXPECT_TRUE(judgements[0].best_on.empty());
  EXPECT_FALSE(judgements[1].regression());
  EXPECT_EQ(judgements[1].best_on, std::vector<std::string>{"prose"});
  EXPECT_TRUE(judge().empty());
}

TEST_F(JudgeTest, AllowsWhatMaxRegressionAllows) {
  config.max_regression = 0.05;
  score("run-100", 100, 0.0);
  score("run-200", 200, 0.02);
  EXPECT_FALSE(judge()[1].regression());
}

TEST_F(JudgeTest, ComparesWithTheBestOrWithANamedModel) {
  score("run-10", 10, 0.0);
  score("run-11", 11, -0.03);
  score("run-12", 12, 0.01);
  score("run-13", 13, 0.0);
  config.baseline = "best";
  EXPECT_EQ(judge().back().baseline, "run-11");
  judged.clear();
  config.baseline = "run-12";
  const std::vector<Judgement> judgements = judge();
  EXPECT_EQ(judgements[0].baseline, "run-12");
  EXPECT_EQ(judgements[2].baseline, "");  // itself
}

TEST_F(JudgeTest, ACorpusThatChangedIsNotCompared) {
  score("run-100", 100, 0.0);
  judge();
  Random elsewhere(9, 0);
  testing::Texts changed = testing::make_texts("prose", 120, elsewhere);
  const lmbits::Run run = testing::make_night_run("run-200", 200, changed, 0.0, random);
  Json manifest = run.manifest;
  manifest["identity"]["corpus"] = "another text of this name";
  {
    RunWriter writer(folder / "runs/run-200__prose__default", manifest);
    for (const DocumentRecord& record : run.records) writer.append(record);
    writer.finish(run.summary);
  }
  const std::vector<Judgement> judgements = judge();
  ASSERT_EQ(judgements.size(), 1u);
  EXPECT_FALSE(judgements[0].regression());
  ASSERT_FALSE(judgements[0].warnings.empty());
  EXPECT_NE(judgements[0].warnings[0].find("not compared with run-100"), std::string::npos)
      << judgements[0].warnings[0];
}

TEST_F(JudgeTest, TellsMachinesWhatItFound) {
  score("run-100", 100, 0.0);
  judge();
  score("run-200", 200, 0.02);
  NightReport report;
  report.night = "2026-01-02T03:04:05Z";
  report.judgements = judge();
  report.models = models;
  report.failures = {"broken <x>.pt: not a zip archive"};
  report.waiting = {{.path = "half.pt", .model = "half.pt", .stamp = "", .waiting = "READY is not there"}};
  report.exit_code = 9;
  const std::string junit = to_junit(report);
  EXPECT_NE(junit.find("tests=\"2\" failures=\"1\" errors=\"1\""), std::string::npos) << junit;
  EXPECT_NE(junit.find("broken &lt;x&gt;.pt"), std::string::npos);
  const std::string prometheus = to_prometheus(report);
  EXPECT_NE(prometheus.find("lmbits_regression{model=\"run-200\",baseline=\"run-100\"} 1\n"), std::string::npos);
  EXPECT_NE(prometheus.find("lmbits_bits_per_byte{model=\"run-100\",corpus=\"prose\",training_run=\"run\"} "),
            std::string::npos);
  EXPECT_NE(prometheus.find("lmbits_nightly_exit_code 9\n"), std::string::npos);
  const Json json = to_json(report);
  EXPECT_EQ(json["judgements"][0]["regression"], true);
  EXPECT_EQ(json["waiting"][0]["path"], "half.pt");
  EXPECT_NE(to_text(report).find("REGRESSED run-200 against run-100"), std::string::npos);
  EXPECT_EQ(to_sections(report).size(), 2u);
}

}  // namespace
}  // namespace lmbits
