#include "src/selection/analyse.h"

#include <gtest/gtest.h>

#include <fstream>

#include "src/core/json.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

class AnalyseSet : public ::testing::Test {
 protected:
  SetStatistics analyse(const std::vector<Json>& samples) {
    std::ofstream file(folder_ / "set.jsonl");
    for (const Json& sample : samples) file << sample.dump() << "\n";
    file.close();
    NoProgress progress;
    return analyse_set(folder_ / "set.jsonl", folder_ / "spool", {}, 2, progress);
  }
  testing::TemporaryFolder folder_;
};

Json alpaca(const std::string& prompt, const std::string& answer) {
  return {{"instruction", prompt}, {"input", ""}, {"output", answer}};
}

TEST_F(AnalyseSet, CountsCopiesFormsAndContradictions) {
  const SetStatistics s =
      analyse({alpaca("How many?", "There are 12."), alpaca("How many?", "There are 12."),
               alpaca("how  MANY?", "There are 345."), alpaca("How many?", "None."), alpaca("Why?", " \n")});
  EXPECT_EQ(s.n_samples, 5);
  EXPECT_EQ(s.n_copies, 1);
  EXPECT_EQ(s.n_same_form, 2);
  EXPECT_EQ(s.n_contradictions, 1);
  EXPECT_EQ(s.n_empty, 1);
}

TEST_F(AnalyseSet, ASetOfCopiesIsMoreRedundantThanItsSamples) {
  std::vector<Json> samples(50, Json{{"text", "The quick brown fox jumps over the lazy dog, it is said."}});
  const SetStatistics s = analyse(samples);
  EXPECT_GT(*s.ratio, 10 * *s.ratio_alone);
  EXPECT_FALSE(s.answer_explained);
}

TEST_F(AnalyseSet, AnAnswerThatRepeatsItsPromptIsExplainedByIt) {
  const std::string words = "colourless green ideas sleep furiously in an otherwise empty quarter of the town";
  EXPECT_GT(*analyse({alpaca(words, words)}).answer_explained, 0.6);
  EXPECT_LT(*analyse({alpaca("0123456789", words)}).answer_explained, 0.2);
}

TEST_F(AnalyseSet, OfNothingIsUndefined) {
  const SetStatistics s = analyse({});
  EXPECT_FALSE(s.ratio);
  EXPECT_FALSE(s.median_bytes);
  EXPECT_EQ(analyse({Json{{"text", 5}}}).n_failed, 1);
}

TEST(RedundancyMatrix, ATextExplainsItsCopyAndNotAStranger) {
  const std::string a = "colourless green ideas sleep furiously in an otherwise empty quarter",
                    b = "0192837465 6574839201 1100229933 8475620193";
  const auto saved = redundancy_matrix({a, b, a}, *make_deflate_cost(9, 2));
  EXPECT_GT(saved[0][2], 0.7);
  EXPECT_EQ(saved[0][2], saved[2][0]);
  EXPECT_EQ(saved[0][0], saved[0][2]);
  EXPECT_LT(saved[0][1], 0.1);
}

}  // namespace
}  // namespace lmbits
