#include "src/report/score_join.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"

namespace lmbits {
namespace {

CompressionTable table_of(const std::string& csv) { return compression_of_csv(parse_csv(csv, "c.csv")); }

const char* const kTable = "model,bpb_prose,bpb_code\na,1.0,0.5\nb,2.0,0.7\nc,3.0,0.9\n";

Score score(const std::string& model, const std::string& benchmark, const std::string& area, double value,
            const std::string& metric = "acc") {
  return {model, benchmark, area, metric, value, std::nullopt, 0.01, "f"};
}

std::vector<Score> all_scores() {
  std::vector<Score> scores;
  for (const auto& [model, value] : {std::pair("a", 0.9), std::pair("b", 0.6), std::pair("c", 0.3)}) {
    scores.push_back(score(model, "p1", "prose", value));
    scores.push_back(score(model, "p2", "prose", value - 0.2));
    scores.push_back(score(model, "c1", "code", value - 0.1));
  }
  return scores;
}

const Panel& find(const ScoreJoin& join, PanelKind kind, const std::string& area = "",
                  const std::string& benchmark = "") {
  for (const Panel& panel : join.panels)
    if (panel.kind == kind && panel.area == area && (kind == PanelKind::kArea || panel.benchmark == benchmark))
      return panel;
  throw std::runtime_error("no such panel");
}

std::string refusal(const CompressionTable& table, const std::vector<Score>& scores, const JoinRequest& request = {}) {
  try {
    join_scores(table, scores, request);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ScoreJoin, AveragesBenchmarksThenAreasAndTheirCorpora) {
  const ScoreJoin join = join_scores(table_of(kTable), all_scores(), {});
  EXPECT_EQ(join.panels.size(), 1u + 2 + 2);  // an area's only benchmark is the area
  EXPECT_EQ(find(join, PanelKind::kArea, "code").benchmark, "c1");
  const Panel& prose = find(join, PanelKind::kArea, "prose");
  ASSERT_EQ(prose.points.size(), 3u);
  EXPECT_EQ(prose.corpora, (std::vector<std::string>{"prose"}));
  EXPECT_DOUBLE_EQ(prose.points[1].x, 2.0);
  EXPECT_DOUBLE_EQ(prose.points[1].y, 0.5);
  EXPECT_DOUBLE_EQ(*prose.points[1].y_error, std::sqrt(2.0) * 0.01 / 2.0);
  const Panel& overall = find(join, PanelKind::kOverall);
  EXPECT_DOUBLE_EQ(overall.points[2].x, (3.0 + 0.9) / 2.0);
  EXPECT_DOUBLE_EQ(overall.points[2].y,
                   (0.2 + 0.2) / 2.0);  // the areas count the same, however many benchmarks they have
  EXPECT_DOUBLE_EQ(find(join, PanelKind::kBenchmark, "prose", "p2").points[0].y, 0.7);
}

TEST(ScoreJoin, DoesNotDependOnTheOrderOfScores) {
  std::vector<Score> scores = all_scores();
  const ScoreJoin one = join_scores(table_of(kTable), scores, {});
  std::reverse(scores.begin(), scores.end());
  const ScoreJoin other = join_scores(table_of(kTable), scores, {});
  for (std::size_t p = 0; p < one.panels.size(); ++p)
    for (std::size_t i = 0; i < one.panels[p].points.size(); ++i)
      EXPECT_EQ(one.panels[p].points[i].y, other.panels[p].points[i].y);
}

TEST(ScoreJoin, CountsAModelWhereItHasEverything) {
  std::vector<Score> scores = all_scores();
  scores.erase(scores.begin() + 1);  // a on p2
  const ScoreJoin join = join_scores(table_of(kTable), scores, {});
  EXPECT_EQ(find(join, PanelKind::kArea, "prose").points.size(), 2u);
  EXPECT_EQ(find(join, PanelKind::kArea, "prose").left_out, (std::vector<std::string>{"a"}));
  EXPECT_EQ(find(join, PanelKind::kBenchmark, "prose", "p1").points.size(), 3u);
  EXPECT_EQ(find(join, PanelKind::kOverall).left_out, (std::vector<std::string>{"a"}));
}

TEST(ScoreJoin, NamesModelsWithoutBitsOnACorpus) {
  const ScoreJoin join =
      join_scores(table_of("model,bpb_prose,bpb_code\na,1.0,0.5\nb,2.0,\nc,3.0,0.9\n"), all_scores(), {});
  EXPECT_EQ(find(join, PanelKind::kArea, "code").left_out, (std::vector<std::string>{"b"}));
  EXPECT_EQ(find(join, PanelKind::kArea, "prose").points.size(), 3u);
}

TEST(ScoreJoin, ListsNamesOfOneSideOnly) {
  std::vector<Score> scores = all_scores();
  scores.push_back(score("A/a", "p1", "prose", 0.4));
  JoinRequest request;
  const ScoreJoin join =
      join_scores(table_of("model,bpb_prose,bpb_code\na,1,1\nb,2,2\nc,3,3\nd,4,4\n"), scores, request);
  EXPECT_EQ(join.only_scores, (std::vector<std::string>{"A/a"}));
  EXPECT_EQ(join.only_compression, (std::vector<std::string>{"d"}));
  request.names = {{"A/a", "d"}};
  const ScoreJoin named =
      join_scores(table_of("model,bpb_prose,bpb_code\na,1,1\nb,2,2\nc,3,3\nd,4,4\n"), scores, request);
  EXPECT_TRUE(named.only_scores.empty());
  EXPECT_EQ(find(named, PanelKind::kBenchmark, "prose", "p1").points.size(), 4u);
}

TEST(ScoreJoin, FindsTheCorpusOfAnArea) {
  std::vector<Score> scores;
  for (const char* model : {"a", "b", "c"}) {
    scores.push_back(score(model, "cloze_code_shuf", "", 0.5));  // by the benchmark's name
    scores.push_back(score(model, "arc", "knowledge", 0.5));     // no corpus of that name: all
  }
  JoinRequest request;
  const ScoreJoin join = join_scores(table_of(kTable), scores, request);
  EXPECT_EQ(find(join, PanelKind::kArea, "code").corpora, (std::vector<std::string>{"code"}));
  EXPECT_EQ(find(join, PanelKind::kArea, "knowledge").corpora, (std::vector<std::string>{"prose", "code"}));
  EXPECT_DOUBLE_EQ(find(join, PanelKind::kArea, "knowledge").points[0].x, 0.75);
  EXPECT_EQ(join.notes.size(), 2u);
  request.corpus_of_area = {{"knowledge", "code"}};
  EXPECT_DOUBLE_EQ(find(join_scores(table_of(kTable), scores, request), PanelKind::kArea, "knowledge").points[0].x,
                   0.5);
  request.corpus_of_area = {{"knowledge", "cod"}};
  EXPECT_EQ(refusal(table_of(kTable), scores, request), "--area knowledge=cod: no such corpus");
  request.corpus_of_area = {{"knowlege", "code"}};
  EXPECT_EQ(refusal(table_of(kTable), scores, request), "--area knowlege=code: no score is of that area");
}

TEST(ScoreJoin, RefusesTwoValuesAndNoCommonModel) {
  std::vector<Score> scores = all_scores();
  scores.push_back(scores[0]);
  EXPECT_EQ(refusal(table_of(kTable), scores), "");  // the same value twice is one
  scores.back().value = 0.4;
  EXPECT_EQ(refusal(table_of(kTable), scores), "model a has two scores of p1 acc: 0.9 (f) and 0.4 (f)");
  EXPECT_NE(refusal(table_of("model,bpb_prose\nx,1\n"), all_scores()).find("no model is on both sides"),
            std::string::npos);
}

TEST(ScoreJoin, TakesTheMetricThatIsThere) {
  const ScoreJoin join = join_scores(table_of("model,bpc_prose\na,1\nb,2\n"),
                                     {score("a", "p", "prose", 0.5), score("b", "p", "prose", 0.4)}, {});
  EXPECT_EQ(join.by, CompressionMetric::kBitsPerChar);
  EXPECT_EQ(join.notes[0], "there is no bits/byte: x is bits/char");
}

TEST(ScoreJoin, NotesScoresThatLookLikePercents) {
  std::vector<Score> scores = all_scores();
  EXPECT_TRUE(join_scores(table_of(kTable), scores, {}).notes.empty());
  scores[0].value = 61.5;
  EXPECT_EQ(join_scores(table_of(kTable), scores, {}).notes[0],
            "p1 has scores above 1: if they are percents, import them with --percent");
}

TEST(ChosenMetric, PrefersNormalisedAccuracy) {
  EXPECT_EQ(chosen_metric({"acc", "acc_norm", "bits"}, ""), "acc_norm");
  EXPECT_EQ(chosen_metric({"exact_match,flexible-extract", "exact_match,strict-match"}, ""),
            "exact_match,flexible-extract");
  EXPECT_EQ(chosen_metric({"accuracy"}, ""), "accuracy");
  EXPECT_EQ(chosen_metric({"qem"}, ""), "qem");
  EXPECT_EQ(chosen_metric({"margin", "bits"}, ""), "");
  EXPECT_EQ(chosen_metric({"acc", "acc_norm"}, "acc"), "acc");
  EXPECT_EQ(chosen_metric({"acc", "acc_norm"}, "f1"), "");
}

TEST(ScoreJoin, TakesTheLongestCorpusInABenchmarksName) {
  const ScoreJoin join = join_scores(table_of("model,bpb_prose,bpb_prose2\na,1,2\nb,2,3\n"),
                                     {score("a", "prose2-x", "", 0.5), score("b", "prose2-x", "", 0.4)}, {});
  EXPECT_EQ(join.areas, (std::vector<std::string>{"prose2"}));
}

// An area without a corpus of its own has the mean of all as its x, and counts once.
TEST(ScoreJoin, OverallIsTheMeanOfTheAreas) {
  std::vector<Score> scores;
  for (const char* model : {"a", "b", "c"})
    for (const char* area : {"code", "knowledge"}) scores.push_back(score(model, area, area, 0.5));
  const Panel overall = find(join_scores(table_of(kTable), scores, {}), PanelKind::kOverall);
  EXPECT_EQ(overall.corpora, (std::vector<std::string>{"code", "prose"}));
  EXPECT_DOUBLE_EQ(overall.points[0].x, (0.5 + (0.5 + 1.0) / 2.0) / 2.0);
}

Score lower(Score score) {
  score.lower_is_better = true;
  return score;
}

// A perplexity once went into the mean with the accuracies.
TEST(ScoreJoin, LeavesOutMetricsOfWhichLessIsBetterUnlessAsked) {
  std::vector<Score> scores = all_scores();
  for (const char* model : {"a", "b", "c"}) scores.push_back(lower(score(model, "wiki", "prose", 9.0, "ppl")));
  const ScoreJoin join = join_scores(table_of(kTable), scores, {});
  EXPECT_DOUBLE_EQ(find(join, PanelKind::kArea, "prose").points[0].y, 0.8);
  EXPECT_FALSE(find(join, PanelKind::kOverall).lower_is_better);
  EXPECT_EQ(join.notes,
            (std::vector<std::string>{"wiki is left out: it has ppl (lower is better); choose with --metric"}));
  JoinRequest request;
  request.metric = "ppl";
  const ScoreJoin asked = join_scores(table_of(kTable), scores, request);
  EXPECT_TRUE(find(asked, PanelKind::kArea, "prose").lower_is_better);
  EXPECT_EQ(find(asked, PanelKind::kArea, "prose").points.size(), 3u);
}

TEST(ScoreJoin, RefusesAMetricThatNoScoreHas) {
  JoinRequest request;
  request.metric = "acc_nrom";
  EXPECT_EQ(refusal(table_of(kTable), all_scores(), request),
            "--metric acc_nrom: no score is of that metric, they are of acc");
  EXPECT_EQ(refusal(table_of(kTable), {lower(score("a", "wiki", "prose", 9.0, "ppl"))}),
            "no benchmark has a metric that stands for it: there are ppl");
}

TEST(ScoreJoin, SaysWhichScoresAreSetBesideTheOnlyCorpus) {
  const ScoreJoin join = join_scores(table_of("model,bpb_prose\na,1\nb,2\nc,3\n"), all_scores(), {});
  EXPECT_EQ(join.notes,
            (std::vector<std::string>{"area code has no corpus of its name: its x is prose, the only one"}));
  const std::vector<Score> anything = {score("a", "q", "", 0.5), score("b", "q", "", 0.4)};
  EXPECT_TRUE(join_scores(table_of("model,bpb_prose\na,1\nb,2\n"), anything, {}).notes.empty());
}

}  // namespace
}  // namespace lmbits
