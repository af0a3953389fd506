#include "src/report/pairing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "src/core/error.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

template <typename F>
std::string data_error(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    return e.what();
  }
  ADD_FAILURE() << "expected lmbits::Error";
  return {};
}

TEST(CheckNames, RefusesOneNameForTwoCorporaNamingBoth) {
  const ScoredRun a = make_run("a", "novel", some_bits(3, 1.0));
  ScoredRun b = make_run("b", "novel", some_bits(3, 1.0));
  b.manifest["identity"]["corpus"] = "another text";
  const std::string what = data_error([&] { check_names({&a, &b}); });
  for (const std::string& part : std::vector<std::string>{"hash of novel", "another text", a.path, b.path}) {
    EXPECT_NE(what.find(part), std::string::npos) << what;
  }
}

TEST(CheckNames, RefusesOneNameForTwoModelsAndTheSameRunTwice) {
  const ScoredRun a = make_run("a", "novel", some_bits(3, 1.0));
  ScoredRun other = make_run("a", "code", some_bits(3, 1.0));
  EXPECT_NO_THROW(check_names({&a, &other}));
  other.manifest["identity"]["model"] = "other weights";
  EXPECT_NE(data_error([&] { check_names({&a, &other}); }).find("other weights"), std::string::npos);
  data_error([&] { check_names({&a, &a}); });
}

TEST(CheckNames, NamesTheManifestAndTheKeyThatIsMissing) {
  ScoredRun a = make_run("a", "novel", some_bits(3, 1.0));
  a.manifest["identity"].erase("corpus");
  const std::string what = data_error([&] { check_names({&a}); });
  EXPECT_NE(what.find("\"identity\".\"corpus\""), std::string::npos) << what;
  EXPECT_NE(what.find(a.path.string()), std::string::npos) << what;
}

TEST(PairRuns, PairsByIdWhateverTheOrderOfTheLines) {
  const ScoredRun a = make_run("a", "novel", some_bits(30, 1.0));
  const ScoredRun b = make_run("b", "novel", some_bits(30, 2.0));
  ScoredRun upside_down = b;
  std::reverse(upside_down.records.begin(), upside_down.records.end());
  const Pairing straight = pair_runs({&a, &b}, Metric::kBitsPerByte);
  const Pairing reversed = pair_runs({&a, &upside_down}, Metric::kBitsPerByte);
  ASSERT_EQ(straight.groups.size(), 1u);
  EXPECT_EQ(straight.groups[0].units.weight, reversed.groups[0].units.weight);
  EXPECT_EQ(straight.groups[0].units.bits, reversed.groups[0].units.bits);
  EXPECT_FALSE(straight.groups[0].blocks);
  for (std::size_t d = 0; d < 30; ++d) EXPECT_EQ(reversed.documents(0)[d]->id, reversed.documents(1)[d]->id);
}

TEST(PairRuns, KeepsTheDocumentsThatAllScored) {
  ScoredRun a = make_run("a", "novel", some_bits(30, 1.0)), b = make_run("b", "novel", some_bits(30, 2.0));
  fail_document(a, 3);
  fail_document(b, 7);
  a.records[9].n_bytes = b.records[9].n_bytes = 0;  // an empty document has no ratio and changes none
  const Pairing pairing = pair_runs({&a, &b}, Metric::kBitsPerByte);
  EXPECT_EQ(pairing.documents(0).size(), 27u);
  for (const auto* record : pairing.documents(1))
    EXPECT_TRUE(record->id != "doc3" && record->id != "doc7" && record->id != "doc9");
}

TEST(PairRuns, UsesBlocksUnderTenDocumentsAndTheirSumIsTheDocument) {
  ScoredRun a = make_run("a", "novel", {600.0, 400.0}), b = make_run("b", "novel", {700.0, 300.0});
  for (ScoredRun* run : {&a, &b}) {
    run->records[0].block_bytes = 400;  // 1000 bytes: 400, 400, 200
    const double third = run->records[0].bits / 3.0;
    run->records[0].block_bits = {third, third, third};
  }
  const PairedGroup group = pair_runs({&a, &b}, Metric::kBitsPerByte).groups[0];
  EXPECT_TRUE(group.blocks);
  EXPECT_EQ(group.units.weight, (std::vector<double>{400.0, 400.0, 200.0, 1400.0}))
      << "three blocks, then the other document";
  EXPECT_DOUBLE_EQ(std::accumulate(group.units.bits[1].begin(), group.units.bits[1].end(), 0.0), 1000.0);

  b.records[0].block_bits.pop_back();  // does not cut all of the document: it counts as one unit for both
  EXPECT_EQ(pair_runs({&a, &b}, Metric::kBitsPerByte).groups[0].units.weight.size(), 2u);
}

TEST(PairRuns, WeighsByCodePointsForBitsPerChar) {
  const ScoredRun a = make_run("a", "novel", some_bits(12, 1.0));
  EXPECT_EQ(pair_runs({&a}, Metric::kBitsPerChar).groups[0].units.weight[0], static_cast<double>(a.records[0].n_chars));
}

TEST(PairRuns, KeepsApartRunsThatCutTheTextDifferently) {  // a stream's blocks of windows, two tokenizers
  const ScoredRun a = make_run("a", "novel", some_bits(30, 1.0)), c = make_run("c", "novel", some_bits(30, 3.0));
  ScoredRun b = make_run("b", "novel", some_bits(25, 2.0));
  for (DocumentRecord& record : b.records) record.n_bytes += 123;
  const Pairing pairing = pair_runs({&a, &b, &c}, Metric::kBitsPerByte);
  ASSERT_EQ(pairing.groups.size(), 2u);
  EXPECT_EQ(pairing.places[0].group, pairing.places[2].group);
  EXPECT_NE(pairing.places[0].group, pairing.places[1].group);
  EXPECT_EQ(pairing.documents(1).size(), 25u);
  const auto resamples = resample_groups(pairing, "novel", 50, 1, 1);
  EXPECT_NE(resamples[0].weight, resamples[1].weight);
}

TEST(PairRuns, RefusesRunsWithoutACommonDocument) {
  ScoredRun a = make_run("a", "novel", some_bits(2, 1.0)), b = make_run("b", "novel", some_bits(2, 1.0));
  fail_document(a, 0);
  fail_document(b, 1);
  data_error([&] { pair_runs({&a, &b}, Metric::kBitsPerByte); });
}

TEST(TriedDocuments, ALaterSuccessUndoesAFailureAndADoubleScoreIsRefused) {
  ScoredRun a = make_run("a", "novel", some_bits(3, 1.0));
  ScoredRun retried = a;
  fail_document(retried, 1);
  EXPECT_EQ(tried_documents(retried).n_failed, 1u);
  retried.records.push_back(a.records[1]);
  EXPECT_EQ(tried_documents(retried).n_failed, 0u);
  EXPECT_EQ(tried_documents(retried).scored.size(), 3u);
  retried.records.push_back(a.records[1]);
  EXPECT_NE(data_error([&] { tried_documents(retried); }).find("doc1"), std::string::npos);
}

}  // namespace
}  // namespace lmbits
