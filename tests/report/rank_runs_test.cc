#include "src/report/rank_runs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/rank_report.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

const RankRequest kQuick{.n_resamples = 500};

std::vector<std::string> names_of(const RankReportTable& table) {
  std::vector<std::string> names;
  for (const RankReportRow& row : table.rows) names.push_back(row.name);
  return names;
}

bool warns(const RankReportTable& table, const std::string& part) {
  return std::any_of(table.warnings.begin(), table.warnings.end(),
                     [&](const std::string& w) { return w.find(part) != std::string::npos; });
}

TEST(RankRuns, HasATableForEachCorpusAndTwoOverall) {
  const RankReport report = rank_runs(two_models_two_corpora(), kQuick);
  ASSERT_EQ(report.tables.size(), 2u);
  ASSERT_EQ(report.overall.size(), 2u);
  EXPECT_EQ(report.tables[1].corpus, "novel");
  EXPECT_EQ(names_of(report.tables[1]), (std::vector<std::string>{"good", "gzip-9", "bad"}))
      << "in order, the baseline between";
  EXPECT_EQ(names_of(report.tables[0]), (std::vector<std::string>{"good", "bad", "gzip-9"}));
  const auto& good_code = report.tables[0].rows[0];
  const auto& good_novel = report.tables[1].rows[0];
  EXPECT_NEAR(*report.overall[1].rows[0].bits_per_byte, 0.5 * (*good_code.bits_per_byte + *good_novel.bits_per_byte),
              1e-12);
  EXPECT_DOUBLE_EQ(*good_novel.ratio, 8.0 / *good_novel.bits_per_byte);
}

TEST(RankRuns, PermutingDocumentsAndRunsChangesNothing) {
  std::vector<ScoredRun> runs = two_models_two_corpora();
  const std::string before = to_json(rank_runs(runs, kQuick)).dump();
  for (ScoredRun& run : runs) std::rotate(run.records.begin(), run.records.begin() + 7, run.records.end());
  std::reverse(runs.begin(), runs.end());
  EXPECT_EQ(to_json(rank_runs(runs, kQuick)).dump(), before);
}

TEST(RankRuns, AreTheSameAtAnyThreadCountAndReproduceFromTheSeed) {
  const std::vector<ScoredRun> runs = two_models_two_corpora();
  RankRequest request = kQuick;
  const std::string one = to_json(rank_runs(runs, request)).dump();
  request.n_threads = 4;
  EXPECT_EQ(to_json(rank_runs(runs, request)).dump(), one);
  request.seed = 2;
  EXPECT_NE(to_json(rank_runs(runs, request)).dump(), one);
}

TEST(RankRuns, ACorpusHasTheSameIntervalsWhateverElseIsRanked) {
  const std::vector<ScoredRun> runs = two_models_two_corpora();
  RankRequest request = kQuick;
  const auto together = rank_runs(runs, request).tables[1];
  request.corpora = {"novel"};
  const auto alone = rank_runs(runs, request).tables[0];
  EXPECT_EQ(together.rows[0].ranked.interval->lo, alone.rows[0].ranked.interval->lo);
}

TEST(RankRuns, ListsWhatItDoesNotRank) {
  std::vector<ScoredRun> runs = two_models_two_corpora();
  runs.push_back(make_run("running", "novel", some_bits(11, 1.0)));
  runs.back().summary = nullptr;
  runs.push_back(make_run("broken", "novel", some_bits(40, 1.0)));
  for (std::size_t i = 0; i < 40; ++i) fail_document(runs.back(), i);
  runs.push_back(make_run("mostly-broken", "novel", some_bits(40, 1.0)));
  for (std::size_t i = 0; i < 30; ++i) fail_document(runs.back(), i);
  runs.push_back(make_run("lossy", "novel", some_bits(40, 2.5)));
  runs.back().records[4].lossless = false;
  const RankReport report = rank_runs(runs, kQuick);
  const RankReportTable& novel = report.tables[1];
  EXPECT_EQ(names_of(novel), (std::vector<std::string>{"good", "gzip-9", "lossy", "bad"}));
  EXPECT_TRUE(warns(novel, "running: unfinished after 11"));
  EXPECT_TRUE(warns(novel, "broken: no document is scored"));
  EXPECT_TRUE(warns(novel, "mostly-broken: 30 of 40 documents failed, not ranked"));
  EXPECT_TRUE(warns(novel, "lossy: lossy"));
  EXPECT_EQ(novel.n_documents, 40);
  EXPECT_TRUE(warns(report.overall[0], "lossy: left out"));
  EXPECT_EQ(names_of(report.overall[0]).size(), 3u);
}

TEST(RankRuns, ComparesOnTheCommonDocumentsAndSaysSo) {
  std::vector<ScoredRun> runs{make_run("a", "novel", some_bits(40, 1.0)), make_run("b", "novel", some_bits(40, 1.0))};
  runs[0].records[3].bits = 1e9;  // only b fails here: a must not be punished for having scored it
  fail_document(runs[1], 3);
  const RankReport report = rank_runs(runs, kQuick);
  EXPECT_EQ(report.tables[0].n_documents, 39);
  EXPECT_TRUE(warns(report.tables[0], "b: 1 document failed"));
  EXPECT_TRUE(warns(report.tables[0], "39 documents that all models scored, of up to 40"));
  EXPECT_EQ(report.tables[0].rows[1].ranked.difference, 0.0);
  EXPECT_TRUE(report.tables[0].rows[1].ranked.tied_with_best);
  EXPECT_NE(to_text(report, {}).find("39/40"), std::string::npos);
}

TEST(RankRuns, ACorpusWithoutTextSpoilsNoOther) {
  std::vector<ScoredRun> runs = two_models_two_corpora();
  for (const char* model : {"good", "bad"}) {
    runs.push_back(make_run(model, "void", some_bits(1, 1.0)));
    runs.back().records[0].n_bytes = runs.back().records[0].n_chars = 0;
  }
  const RankReport report = rank_runs(runs, kQuick);
  ASSERT_EQ(report.tables.size(), 3u);
  EXPECT_TRUE(report.tables[2].rows.empty());
  EXPECT_TRUE(warns(report.tables[2], "good: no document with text, not ranked"));
  EXPECT_EQ(names_of(report.overall[0]), (std::vector<std::string>{"good", "gzip-9", "bad"}));
}

TEST(RankRuns, SaysWhatIsNotScoredAndLeavesCompressorsOut) {
  std::vector<ScoredRun> runs = two_models_two_corpora();
  for (ScoredRun& run : runs) run.summary.update({{"n_scored", 89}, {"n_tokens", 100}});
  const RankReport report = rank_runs(runs, kQuick);
  EXPECT_TRUE(warns(report.tables[1], "only 178 of 200 tokens are scored"));
  EXPECT_EQ(names_of(report.tables[1]), (std::vector<std::string>{"good", "bad"}));
  for (ScoredRun& run : runs) run.summary.update({{"n_scored", 91}, {"n_tokens", 100}});
  EXPECT_EQ(names_of(rank_runs(runs, kQuick).tables[1]).size(), 3u);
}

TEST(RankRuns, NamesDifferentSettings) {
  std::vector<ScoredRun> runs = two_models_two_corpora();
  EXPECT_FALSE(warns(rank_runs(runs, kQuick).tables[1], "different settings"));
  for (ScoredRun& run : runs) {
    const bool is_good = run.manifest["model"]["name"] == "good";
    run.manifest["identity"]["convention"] = {{"window", is_good ? 1400 : 100}, {"stride", 50}};
  }
  EXPECT_TRUE(warns(rank_runs(runs, kQuick).tables[1], "window 100, stride 50: bad; window 1400, stride 50: good"));
}

TEST(RankRuns, RanksConventionsApart) {
  const std::vector<ScoredRun> runs{make_run("a", "novel", some_bits(20, 1.0)),
                                    make_run("a", "novel", some_bits(20, 1.2), "lm-eval")};
  const RankReport report = rank_runs(runs, kQuick);
  ASSERT_EQ(report.tables.size(), 2u);
  EXPECT_EQ(report.tables[0].rows.front().ranked.rank, 1);
  EXPECT_EQ(report.tables[1].rows.front().ranked.rank, 1);
  EXPECT_TRUE(report.overall.empty());
}

TEST(RankRuns, WorksForOneModelWithoutBaselinesAndForOneDocument) {
  RankRequest request = kQuick;
  request.baselines = false;
  const RankReport report = rank_runs({make_run("a", "novel", some_bits(1, 1.0))}, request);
  ASSERT_EQ(report.tables[0].rows.size(), 1u);
  EXPECT_FALSE(report.tables[0].rows[0].ranked.interval);
  EXPECT_TRUE(warns(report.tables[0], "too few for intervals"));
  EXPECT_NE(to_text(report, {}).find("—"), std::string::npos);
}

TEST(RankRuns, WorksForHundredsOfModels) {
  std::vector<ScoredRun> runs;
  for (int m = 0; m < 300; ++m)
    runs.push_back(make_run("m" + std::to_string(m), "novel", some_bits(30, 1.0 + 0.01 * m)));
  RankRequest request = kQuick;
  request.n_threads = 2;
  const RankReport report = rank_runs(runs, request);
  EXPECT_EQ(report.tables[0].rows.size(), 301u);
  EXPECT_EQ(report.tables[0].rows.back().ranked.rank, 300);
}

TEST(RankRuns, DocumentBaselinesAreShownOnRequest) {
  RankRequest request = kQuick;
  request.document_baselines = true;
  EXPECT_EQ(names_of(rank_runs({make_run("a", "novel", some_bits(20, 1.0))}, request).tables[0]),
            (std::vector<std::string>{"a", "gzip-9", "gzip-9/doc"}));
}

TEST(RankRuns, RanksByRatioFromHighToLowWithTheBaselinesInPlace) {
  RankRequest request = kQuick;
  request.metric = Metric::kRatio;
  const RankReport report = rank_runs(two_models_two_corpora(), request);
  EXPECT_EQ(names_of(report.tables[1]), (std::vector<std::string>{"good", "gzip-9", "bad"}));
  EXPECT_DOUBLE_EQ(report.tables[1].rows[1].ranked.value, 4.0);
}

TEST(RankRuns, RefusesAnUnknownCorpusNamingTheKnown) {
  RankRequest request = kQuick;
  request.corpora = {"poem"};
  try {
    rank_runs(two_models_two_corpora(), request);
    FAIL() << "expected lmbits::Error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("poem"), std::string::npos);
    EXPECT_NE(e.hint().find("code, novel"), std::string::npos);
  }
  EXPECT_THROW(rank_runs({}, kQuick), Error);
}

}  // namespace
}  // namespace lmbits
