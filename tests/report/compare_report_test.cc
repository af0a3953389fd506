#include "src/report/compare_report.h"

#include <gtest/gtest.h>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/stats/random.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

const CompareRequest kQuick{.n_resamples = 1000};

CompareRequest gated(double limit) {
  CompareRequest request = kQuick;
  request.max_regression = limit;
  return request;
}

// `base` with every document's bits times 1 + shift, and noise of the given relative width.
ScoredRun shifted(const ScoredRun& base, double shift, double noise = 0.0, std::uint64_t seed = 1) {
  ScoredRun run = base;
  run.manifest["model"]["name"] = "new";
  run.manifest["identity"]["model"] = "hash of new";
  run.path = "new__run";
  Random random(seed, 0);
  for (DocumentRecord& record : run.records) record.bits *= 1.0 + shift + noise * (random.uniform() - 0.5);
  return run;
}

TEST(CompareRuns, AShiftedCopyGivesTheExactRelativeDifference) {
  const ScoredRun base = make_run("base", "novel", some_bits(40, 1.0));
  const Comparison c = compare_runs({base}, {shifted(base, 0.01)}, kQuick).comparisons[0];
  EXPECT_NEAR(c.relative, 0.01, 1e-13);
  EXPECT_NEAR(c.relative_interval->lo, 0.01, 1e-13);
  EXPECT_NEAR(c.relative_interval->hi, 0.01, 1e-13);
  EXPECT_EQ(c.n_worse, 40);
  EXPECT_LT(*c.sign_p, 1e-11);
  EXPECT_EQ(c.verdict, "worse");
  EXPECT_EQ(compare_runs({base}, {shifted(base, -0.01)}, kQuick).comparisons[0].verdict, "better");
}

TEST(CompareRuns, TheSameBitsAreNoDifference) {
  const ScoredRun base = make_run("base", "novel", some_bits(40, 1.0));
  const Comparison c = compare_runs({base}, {base}, gated(0.0)).comparisons[0];
  EXPECT_EQ(c.difference, 0.0);
  EXPECT_EQ(c.relative_interval->lo, 0.0);
  EXPECT_EQ(c.relative_interval->hi, 0.0);
  EXPECT_FALSE(c.sign_p);
  EXPECT_TRUE(c.moved.empty());
  EXPECT_EQ(c.verdict, "no difference: the same bits");
  EXPECT_FALSE(c.gate->regression);
  EXPECT_TRUE(c.gate->settled);
}

TEST(Gate, ClosesOnAClearRiseAboveTheLimitOnly) {
  const ScoredRun base = make_run("base", "novel", some_bits(200, 1.0));
  const auto regression = [&](double shift, double noise) {
    return compare_runs({base}, {shifted(base, shift, noise)}, gated(0.002)).comparisons[0].gate;
  };
  EXPECT_TRUE(regression(0.004, 0.01)->regression);
  EXPECT_FALSE(regression(0.001, 0.001)->regression) << "worse, but within the limit";
  EXPECT_TRUE(regression(0.001, 0.001)->settled);
  EXPECT_FALSE(regression(-0.01, 0.01)->regression);
}

TEST(Gate, SaysWhenTheIntervalIsTooWideAndHowManyDocumentsWouldDo) {
  const ScoredRun base = make_run("base", "novel", some_bits(20, 1.0));
  const CompareReport report = compare_runs({base}, {shifted(base, 0.003, 0.2)}, gated(0.002));
  const Comparison& c = report.comparisons[0];
  ASSERT_LT(c.gate->interval->lo, 0.0);
  EXPECT_FALSE(report.regression);
  EXPECT_FALSE(c.gate->settled);
  EXPECT_GT(*c.gate->units_needed, 20);
  EXPECT_NE(to_text(report, {}).find("too wide to decide"), std::string::npos);
}

TEST(Gate, CallsNoiseARegressionNoMoreOftenThanTheLevelAllows) {  // limit 0 is the hardest: any rise counts
  constexpr int kRounds = 300;
  const ScoredRun base = make_run("base", "novel", some_bits(60, 1.0));
  int alarms = 0;
  for (int i = 0; i < kRounds; ++i) {
    alarms += compare_runs({base}, {shifted(base, 0.0, 0.05, static_cast<std::uint64_t>(i))}, gated(0.0)).regression;
  }
  EXPECT_LE(alarms, 0.055 * kRounds);  // 2.5 % expected
}

TEST(Gate, FindsARegressionOfThreeStandardErrorsNearlyAlways) {
  constexpr int kRounds = 60;
  const ScoredRun base = make_run("base", "novel", some_bits(60, 1.0));
  int found = 0;
  for (int i = 0; i < kRounds; ++i) {  // noise of width w has the standard error w / sqrt(12 * 60) here
    found += compare_runs({base}, {shifted(base, 0.006, 0.05, static_cast<std::uint64_t>(i))}, gated(0.002)).regression;
  }
  EXPECT_GE(found, 0.8 * kRounds);
}

TEST(CompareRuns, GatesEachCorpusAndAllTogetherAtARaisedLevel) {
  const ScoredRun novel = make_run("base", "novel", some_bits(40, 1.0)),
                  code = make_run("base", "code", some_bits(40, 1.0));
  const CompareReport report =
      compare_runs({novel, code}, {shifted(novel, 0.0, 0.001), shifted(code, 0.01, 0.001)}, gated(0.002));
  ASSERT_EQ(report.comparisons.size(), 3u);
  EXPECT_NEAR(report.comparisons[0].gate->level, 1.0 - 0.05 / 3.0, 1e-12);
  EXPECT_EQ(report.comparisons[0].corpus, "code");
  EXPECT_TRUE(report.comparisons[0].gate->regression);
  EXPECT_FALSE(report.comparisons[1].gate->regression);
  EXPECT_TRUE(report.comparisons[2].corpus.empty());
  EXPECT_TRUE(report.regression);
}

TEST(CompareRuns, ListsTheFiveDocumentsThatMovedTheMost) {
  const ScoredRun base = make_run("base", "novel", some_bits(40, 1.0));
  ScoredRun next = shifted(base, 0.0);
  for (std::size_t i = 0; i < 8; ++i)
    next.records[i * 4].bits += (i % 2 == 0 ? 1.0 : -1.0) * static_cast<double>(i + 1);
  const Comparison c = compare_runs({base}, {next}, kQuick).comparisons[0];
  ASSERT_EQ(c.moved.size(), 5u);
  EXPECT_EQ(c.moved[0].id, "doc28");
  EXPECT_EQ(c.moved[4].id, "doc12");
}

TEST(CompareRuns, UsesTheCommonDocumentsAndSaysSo) {
  const ScoredRun base = make_run("base", "novel", some_bits(40, 1.0));
  ScoredRun next = shifted(base, 0.0);
  fail_document(next, 5);
  const Comparison c = compare_runs({base}, {next}, kQuick).comparisons[0];
  EXPECT_EQ(c.n_documents, 39);
  EXPECT_EQ(c.difference, 0.0);
  ASSERT_EQ(c.warnings.size(), 2u);
  EXPECT_NE(c.warnings[0].find("39 of the 40"), std::string::npos);
  EXPECT_NE(c.warnings[1].find("1 failed"), std::string::npos);
}

TEST(CompareRuns, RefusesWhatCannotBeCompared) {
  const ScoredRun base = make_run("base", "novel", some_bits(20, 1.0));
  const auto kind_of = [&](const std::vector<ScoredRun>& a, const std::vector<ScoredRun>& b) {
    try {
      compare_runs(a, b, kQuick);
    } catch (const Error& e) {
      return e.kind();
    }
    ADD_FAILURE() << "expected lmbits::Error";
    return ErrorKind::kDevice;
  };
  ScoredRun other_text = shifted(base, 0.0), unfinished = shifted(base, 0.0);
  other_text.manifest["identity"]["corpus"] = "another text";
  unfinished.summary = nullptr;
  EXPECT_EQ(kind_of({base}, {other_text}), ErrorKind::kData);
  EXPECT_EQ(kind_of({base}, {unfinished}), ErrorKind::kData);
  EXPECT_EQ(kind_of({base}, {make_run("b", "code", some_bits(20, 1.0))}), ErrorKind::kData);
  EXPECT_EQ(kind_of({base}, {}), ErrorKind::kData);
  EXPECT_EQ(kind_of({base, make_run("b", "code", some_bits(20, 1.0))}, {base}), ErrorKind::kUsage);
}

TEST(CompareRuns, OneDocumentGivesNumbersWithoutAVerdict) {
  const ScoredRun base = make_run("base", "novel", some_bits(1, 1.0));
  const CompareReport report = compare_runs({base}, {shifted(base, 0.1)}, gated(0.002));
  EXPECT_FALSE(report.comparisons[0].relative_interval);
  EXPECT_NE(report.comparisons[0].verdict.find("undecided"), std::string::npos);
  EXPECT_FALSE(report.regression);
  EXPECT_NE(to_text(report, {}).find("undecided: there is no interval"), std::string::npos);
  EXPECT_TRUE(to_json(report)["comparisons"][0]["relative_interval"].is_null());
}

}  // namespace
}  // namespace lmbits
