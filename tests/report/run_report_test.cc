#include "src/report/run_report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/core/json.h"
#include "src/report/rank_report.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

const RankRequest kQuick{.n_resamples = 200};

// Checkpoints of two training runs on two corpora.
std::vector<ScoredRun> trained_runs() {
  std::vector<ScoredRun> runs;
  for (const char* corpus : {"novel", "code"}) {
    for (const char* family : {"a", "b"}) {
      for (const int step : {100, 200, 400}) {
        const double level = (family[0] == 'a' ? 1.0 : 1.4) + 60.0 / step;
        runs.push_back(make_run(std::string(family) + "-" + std::to_string(step), corpus, some_bits(30, level)));
        runs.back().manifest["model"]["metadata"] = {{"training", {{"step", step}, {"tokens", 1000 * step}}},
                                                     {"parameters", {{"total", 12345}}},
                                                     {"licence", "MIT"}};
        runs.back().manifest["identity"]["model"] = std::string("0123456789abcdef") + family + std::to_string(step);
      }
    }
  }
  return runs;
}

// Half of the documents in one folder, half in another.
std::vector<ScoredRun> runs_with_folders() {
  std::vector<ScoredRun> runs{make_run("good", "mixed", some_bits(40, 1.0)),
                              make_run("bad", "mixed", some_bits(40, 2.0))};
  for (ScoredRun& run : runs) {
    for (std::size_t i = 0; i < run.records.size(); ++i) {
      run.records[i].id = (i % 2 == 0 ? "wiki/" : "books/") + run.records[i].id;
      run.records[i].baselines = {{"gzip-9", run.records[i].n_bytes / 4}};
    }
  }
  return runs;
}

std::string html_of(const std::vector<ScoredRun>& runs) {
  return to_html(report_runs(runs, kQuick), {}, {"title", "origin"});
}

TEST(TrainingOf, CheckpointsAreOfTheRunBeforeTheirStep) {
  ScoredRun run = make_run("m-sp-3000", "novel", {1.0});
  EXPECT_EQ(training_of(run).run, "m-sp-3000");
  EXPECT_FALSE(training_of(run).step);
  run.manifest["model"]["metadata"] = {{"training", {{"step", 3000}, {"tokens", nullptr}}}};
  EXPECT_EQ(training_of(run).run, "m-sp");
  EXPECT_EQ(training_of(run).step, 3000.0);
  EXPECT_FALSE(training_of(run).tokens);
  run.manifest["model"]["metadata"]["training"]["step"] = 300;
  EXPECT_EQ(training_of(run).run, "m-sp-3000");
}

TEST(RunReport, ThePageHasEveryModelWithItsNumbers) {
  const auto runs = trained_runs();
  const RunReport report = report_runs(runs, kQuick);
  const std::string html = to_html(report, {}, {"title", "origin"});
  for (const RankReportTable& table : report.ranking.tables) {
    for (const RankReportRow& row : table.rows) {
      EXPECT_NE(html.find("data-name=\"" + row.name + "\""), std::string::npos) << row.name;
      EXPECT_NE(html.find(">" + format_fixed(row.ranked.value, 4)), std::string::npos) << row.name;
    }
  }
}

TEST(RunReport, TheLeaderboardIsTheMeanOfTheCorporaBesideEachOfThem) {
  const RunReport report = report_runs(trained_runs(), kQuick);
  const std::vector<Table> boards = leaderboards(report);
  ASSERT_EQ(boards.size(), 1u);
  const Json rows = to_json(boards[0]);
  ASSERT_EQ(rows.size(), 7u);  // six models and gzip-9
  EXPECT_EQ(rows[0]["name"], "a-400");
  for (const Json& row : rows) {
    const double mean = (row["bits_per_byte_code"].get<double>() + row["bits_per_byte_novel"].get<double>()) / 2;
    EXPECT_NEAR(row["bits_per_byte"].get<double>(), mean, 1e-12) << row["name"];
  }
  EXPECT_EQ(rows[0]["parameters"], 12345);
}

TEST(RunReport, OneCorpusIsALeaderboardToo) {
  const RunReport report = report_runs({make_run("a", "novel", some_bits(20, 1.0))}, kQuick);
  EXPECT_EQ(leaderboards(report).size(), 1u);
}

TEST(RunReport, FiguresAreBarsAndCurvesOfEachCorpusAndOverall) {
  const RunReport report = report_runs(trained_runs(), kQuick);
  std::vector<std::string> names;
  for (const Figure& figure : run_figures(report.ranking, report.training)) names.push_back(figure.name);
  EXPECT_EQ(names, (std::vector<std::string>{"bars_code", "curves_code", "bars_novel", "curves_novel", "bars_overall",
                                             "curves_overall"}));
}

TEST(RunReport, CurvesNeedTwoCheckpointsOfOneRun) {
  const RunReport report =
      report_runs({make_run("a", "novel", some_bits(20, 1.0)), make_run("b", "novel", some_bits(20, 2.0))}, kQuick);
  EXPECT_EQ(run_figures(report.ranking, report.training).size(), 1u);
}

TEST(RunReport, CurvesAreOverStepsWhereTokensAreNotKnown) {
  auto runs = trained_runs();
  runs[0].manifest["model"]["metadata"]["training"]["tokens"] = nullptr;
  runs[6].manifest["model"]["metadata"]["training"]["tokens"] = nullptr;
  const RunReport report = report_runs(runs, kQuick);
  const auto curves = curves_figure(report.ranking.tables[0], report.ranking.request, report.training);
  ASSERT_TRUE(curves);
  EXPECT_NE(curves->drawing.svg(Look::kInline).find(">training steps<"), std::string::npos);
}

TEST(RunReport, CategoriesAreRankedByFolderWithTheirOwnCompressors) {
  const auto runs = runs_with_folders();
  const RunReport report = report_runs(runs, kQuick);
  ASSERT_TRUE(report.categories);
  ASSERT_EQ(report.categories->tables.size(), 2u);
  double bits = 0.0, n_bytes = 0.0;
  for (const DocumentRecord& record : runs[0].records) {
    if (!record.id.starts_with("wiki/")) continue;
    bits += record.bits;
    n_bytes += static_cast<double>(record.n_bytes);
  }
  const RankReportTable& wiki = report.categories->tables[1];
  EXPECT_EQ(wiki.corpus, "mixed/wiki");
  EXPECT_EQ(wiki.n_documents, 20);
  EXPECT_EQ(wiki.rows[0].name, "good");
  EXPECT_NEAR(wiki.rows[0].ranked.value, bits / n_bytes, 1e-12);
  const auto gzip = std::find_if(wiki.rows.begin(), wiki.rows.end(), [](const auto& row) { return row.is_baseline; });
  ASSERT_NE(gzip, wiki.rows.end());
  EXPECT_EQ(gzip->name, "gzip-9/doc");
  EXPECT_NEAR(gzip->ranked.value, 2.0, 1e-9);

  const auto value = [](const RankReportTable& table) { return table.rows[0].ranked.value; };
  ASSERT_EQ(report.categories->overall.size(), 2u);
  EXPECT_NEAR(value(report.categories->overall[0]), value(report.ranking.tables[0]), 1e-12) << "micro";
  EXPECT_NEAR(value(report.categories->overall[1]), (value(report.categories->tables[0]) + value(wiki)) / 2, 1e-12)
      << "macro";
}

TEST(RunReport, ACategoryThatIsNamedGoesBeforeAFolder) {
  auto runs = runs_with_folders();
  for (ScoredRun& run : runs)
    for (DocumentRecord& record : run.records) record.category = record.id.starts_with("wiki/") ? "news" : "letters";
  const RunReport report = report_runs(runs, kQuick);
  ASSERT_EQ(report.categories->tables.size(), 2u);
  EXPECT_EQ(report.categories->tables[0].corpus, "mixed/letters");
  EXPECT_EQ(report.categories->tables[1].corpus, "mixed/news");
}

TEST(RunReport, ACompressorWithoutAllDocumentsIsNoRowOfACategory) {
  auto runs = runs_with_folders();
  for (ScoredRun& run : runs) run.records[0].baselines.clear();  // wiki's
  const RunReport report = report_runs(runs, kQuick);
  EXPECT_EQ(report.categories->tables[0].rows.size(), 3u);
  EXPECT_EQ(report.categories->tables[1].rows.size(), 2u);
}

TEST(RunReport, CorporaWithoutFoldersHaveNoCategories) { EXPECT_FALSE(report_runs(trained_runs(), kQuick).categories); }

TEST(RunReport, SaysWhereEveryNumberComesFrom) {
  const auto runs = trained_runs();
  const std::string html = html_of(runs);
  EXPECT_NE(html.find(">01234567<"), std::string::npos);
  EXPECT_NE(html.find("0123456789abcdefa100"), std::string::npos);  // in the manifest
  EXPECT_NE(html.find("manifest of a-100 on novel"), std::string::npos);
  const Json json = to_json(report_runs(runs, kQuick), {});
  EXPECT_EQ(json["manifests"].size(), runs.size());
  EXPECT_EQ(json["runs"][0]["model_fingerprint"], "0123456789abcdefa100");
}

TEST(RunReport, ContaminationIsAskedAlsoWhereNobodyLooked) {
  auto runs = trained_runs();
  EXPECT_NE(html_of(runs).find("not asked"), std::string::npos);
  runs[0].summary["contamination"] = {{"against", Json::array({{{"name", "web"}}})},
                                      {"ngram", "50 bytes"},
                                      {"share_bytes", 0.125},
                                      {"share_ngrams", 0.0625},
                                      {"n_contaminated", 3},
                                      {"longest_found", 77},
                                      {"bits_per_byte", 1.5},
                                      {"bits_per_byte_clean", 1.75},
                                      {"blocks", nullptr}};
  const RunReport report = report_runs(runs, kQuick);
  const Json row = to_json(report, {})["contamination"].at(0);
  EXPECT_EQ(row["bytes_found"], 12.5);
  EXPECT_EQ(row["n_contaminated"], 3);
  EXPECT_EQ(row["bits_per_byte_clean"], 1.75);
  EXPECT_TRUE(row["bits_per_byte_clean_blocks"].is_null());
  const std::string html = to_html(report, {}, {"title", "origin"});
  EXPECT_EQ(html.find("not asked"), std::string::npos);
  EXPECT_NE(html.find("first question anyone asks"), std::string::npos);
}

TEST(RunReport, WarningsOfRunsAreThereOnceWithTheirRuns) {
  auto runs = trained_runs();
  for (std::size_t i = 0; i < 5; ++i) runs[i].summary["warnings"] = {"tokens were dropped"};
  runs[5].summary["warnings"] = {"something else"};
  const RunReport report = report_runs(runs, kQuick);
  EXPECT_EQ(report.warnings,
            (std::vector<std::string>{"something else (b-400 on novel)", "tokens were dropped (5 runs)"}));
  EXPECT_NE(to_html(report, {}, {"t", "o"}).find("tokens were dropped (5 runs)"), std::string::npos);
  EXPECT_NE(to_markdown(report, {}).find("- something else (b-400 on novel)"), std::string::npos);
}

TEST(RunReport, UnfinishedRunsAreNamedAndListed) {
  auto runs = trained_runs();
  runs[0].summary = nullptr;
  const std::string html = html_of(runs);
  EXPECT_NE(html.find("unfinished after 30 scored documents"), std::string::npos);
  EXPECT_NE(html.find(">unfinished<"), std::string::npos);
}

TEST(RunReport, CsvHasOneHeaderWithCategoriesBelow) {
  const std::string csv = to_csv(report_runs(runs_with_folders(), kQuick));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 3 + 2 * 3 + 2 * 3);
  EXPECT_EQ(csv.rfind("corpus,convention"), 0u);
}

TEST(FileStem, IsAPlainName) {
  EXPECT_EQ(file_stem("Llama 2/7b: prose"), "Llama_2_7b_prose");
  EXPECT_EQ(file_stem("../x"), "_.._x");
  EXPECT_EQ(file_stem(""), "_");
}

}  // namespace
}  // namespace lmbits
