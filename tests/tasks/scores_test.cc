#include "src/tasks/scores.h"

#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::string refusal(const std::string& line) {
  try {
    parse_scores(line, "s.jsonl");
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    return e.what();
  }
  return "";
}

TEST(Scores, ReadBackToTheLastBit) {
  const std::vector<Score> scores = {
      {"m \"1\"", "hellaswag", "knowledge", "acc_norm", 0.1 + 0.2, 10042, 1.0 / 3.0, "results.json"},
      {"m2", "gsm8k", "", "exact_match,strict-match", 1e-300, std::nullopt, std::nullopt, ""}};
  const std::string text = to_jsonl(scores);
  const std::vector<Score> again = parse_scores(text, "s.jsonl");
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].model, "m \"1\"");
  EXPECT_EQ(again[0].value, 0.1 + 0.2);
  EXPECT_EQ(again[0].standard_error, 1.0 / 3.0);
  EXPECT_EQ(again[0].n, 10042);
  EXPECT_EQ(again[1].area, "");
  EXPECT_FALSE(again[1].n);
  EXPECT_EQ(to_jsonl(again), text);
}

TEST(Scores, SkipsALineWhoseValueIsNull) {
  EXPECT_TRUE(parse_scores(R"({"model":"m","benchmark":"b","metric":"acc","value":null})", "s").empty());
}

TEST(Scores, RefusesWithLineAndKey) {
  EXPECT_EQ(refusal("\n{\"model\":\"m\"\n"), "s.jsonl, line 2 is not a JSON object");
  EXPECT_EQ(refusal(R"({"benchmark":"b","metric":"acc","value":1})"),
            "s.jsonl, line 1: \"model\" is missing, not a text");
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":3,"metric":"acc","value":1})"),
            "s.jsonl, line 1: \"benchmark\" is 3, not a text");
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":"b","metric":"acc","value":"1"})"),
            "s.jsonl, line 1: \"value\" is \"1\", not a number");
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":"b","metric":"acc"})"),
            "s.jsonl, line 1: \"value\" is missing, not a number");
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":"b","metric":"acc","value":1,"stderr":-1})"),
            "s.jsonl, line 1: \"stderr\" is -1, not a standard error");
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":"b","metric":"acc","value":1,"n":1.5})"),
            "s.jsonl, line 1: \"n\" is 1.5, not a number of questions");
  EXPECT_EQ(refusal(R"({"schema":2,"model":"m","benchmark":"b","metric":"acc","value":1})"),
            "s.jsonl, line 1: \"schema\" is 2, this program reads 1");
}

TEST(Scores, KnowOfWhichMetricsLessIsBetter) {
  for (const char* metric : {"word_perplexity", "perplexity,none", "answer_bits", "bits_per_byte", "bpc", "brier_score",
                             "WikiText-PPL", "loss", "wer"})
    EXPECT_TRUE(lower_is_better_by_name(metric)) << metric;
  for (const char* metric :
       {"acc", "acc_norm", "margin_bits", "exact_match", "pass@1", "answer", "f1", "habits", "score,perplexity"})
    EXPECT_FALSE(lower_is_better_by_name(metric)) << metric;
  const auto read = [](const std::string& more) {
    return parse_scores(R"({"model":"m","benchmark":"b","metric":"ppl","value":1)" + more + "}", "s")[0];
  };
  EXPECT_TRUE(read("").lower_is_better);
  EXPECT_FALSE(read(R"(,"lower_is_better":false)").lower_is_better);
  EXPECT_EQ(refusal(R"({"model":"m","benchmark":"b","metric":"acc","value":1,"lower_is_better":1})"),
            "s.jsonl, line 1: \"lower_is_better\" is 1, not true or false");
}

}  // namespace
}  // namespace lmbits
