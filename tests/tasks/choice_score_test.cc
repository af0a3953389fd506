#include "src/tasks/choice_score.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

ContinuationBits costs(double bits, std::int64_t n_bytes, std::int64_t n_tokens, bool greedy = false) {
  return {bits, n_bytes, n_tokens, greedy};
}

TEST(Picks, GoByBitsAndByBitsAByteAndAToken) {
  const Picks picks = picks_of({costs(10, 4, 2), costs(12, 8, 2), costs(14, 7, 7)});
  EXPECT_EQ(picks.bits, 0U);
  EXPECT_EQ(picks.per_byte, 1U);
  EXPECT_EQ(picks.per_token, 2U);
}

TEST(Picks, OfEqualOnesTheFirst) { EXPECT_EQ(picks_of({costs(2, 1, 1), costs(1, 1, 1), costs(1, 1, 1)}).bits, 1U); }

// Brown, Cai and DasGupta 2001 (Statistical Science 16): the interval is the set of p whose score test keeps k of n.
TEST(WilsonInterval, HoldsTheSharesThatTheScoreTestKeeps) {
  for (const auto& [k, n] : std::vector<std::pair<double, double>>{{1, 10}, {5, 10}, {37, 400}, {399, 400}}) {
    const auto [lo, hi] = wilson_interval(k, n, 0.95);
    for (const double p : {lo, hi})
      EXPECT_NEAR(std::abs(k / n - p) / std::sqrt(p * (1 - p) / n), 1.959963984540054, 1e-9);
  }
  EXPECT_EQ(wilson_interval(0, 7, 0.9).first, 0.0);
  EXPECT_EQ(wilson_interval(7, 7, 0.9).second, 1.0);
}

TEST(ScoreQuestions, CountsEachKindByItselfAndFailuresNowhere) {
  const auto questions = parse_questions(
      "{\"id\": \"a\", \"area\": \"x\", \"kind\": \"k\", \"context\": \"\", \"choices\": [\"p\", \"qq\"], \"answer\": "
      "1}\n"
      "{\"id\": \"b\", \"area\": \"x\", \"kind\": \"k\", \"context\": \"\", \"choices\": [\"p\", \"qq\"], \"answer\": "
      "0}\n"
      "{\"id\": \"c\", \"area\": \"x\", \"kind\": \"next\", \"context\": \"\", \"choices\": [], \"answer\": \"w\"}\n"
      "{\"id\": \"d\", \"area\": \"x\", \"kind\": \"k\", \"context\": 3}\n",
      "f");
  const std::vector<AnsweredQuestion> answered = {{"a", {costs(5, 1, 1), costs(6, 2, 1)}, false, ""},
                                                  {"b", {costs(5, 1, 1), costs(9, 2, 1)}, false, ""},
                                                  {"c", {costs(3, 1, 1, true)}, false, ""},
                                                  {"d", {}, false, "broken"}};
  const auto benchmarks = score_questions("quiz", questions, answered, 0.95);
  ASSERT_EQ(benchmarks.size(), 2U);
  EXPECT_EQ(benchmarks[0].name, "quiz-k");
  EXPECT_EQ(benchmarks[0].area, "x");
  const auto value = [&](std::size_t b, const std::string& name) {
    for (const ChoiceMetric& m : benchmarks[b].metrics)
      if (m.name == name) return m.value;
    return std::nan("");
  };
  EXPECT_EQ(value(0, "acc"), 0.5);
  EXPECT_EQ(value(0, "acc_norm"), 0.5);     // 6/2 < 5/1, and 9/2 < 5/1
  EXPECT_EQ(value(0, "margin_bits"), 1.5);  // -1 and 4
  EXPECT_EQ(value(0, "answer_bits"), 5.5);
  EXPECT_EQ(value(1, "exact_match"), 1.0);
  EXPECT_EQ(benchmarks[0].n, 2);
  EXPECT_EQ(benchmarks[0].n_failed, 1);
}

TEST(AnsweredQuestions, ReadBackAsTheyWereWritten) {
  const auto question = parse_questions(R"({"id": "a", "context": "", "choices": ["p", "qq"], "answer": 1})", "f")[0];
  const AnsweredQuestion answered{"a", {costs(0.1, 1, 1), costs(1.0 / 3, 2, 1, true)}, true, ""};
  const Json json = to_json(answered, question);
  EXPECT_EQ(to_json(answered_from_json(Json::parse(json.dump())), question), json);
  Json damaged = json;
  damaged["bits"] = 3;
  EXPECT_THROW(answered_from_json(damaged), Error);
}

TEST(ParseQuestions, NamesTheLineAndTheKeyOfWhatIsBroken) {
  const std::vector<std::pair<std::string, std::string>> broken = {
      {R"({"id": "a", "context": "c", "choices": ["x"], "answer": 0})", "\"choices\""},
      {R"({"id": "a", "context": "c", "choices": ["x", ""], "answer": 0})", "\"choices[1]\""},
      {R"({"id": "a", "context": "c", "choices": ["x", "y"], "answer": 2})", "an index from 0 to 1"},
      {R"({"id": "a", "context": "c", "choices": ["x", "y"], "answer": -1})", "an index from 0 to 1"},
      {R"({"id": "a", "context": "c", "choices": []})", "\"answer\" is missing"},
      {R"({"context": "c", "answer": "x"})", "\"id\" is missing"},
      {"[]", "not a JSON object"}};
  for (const auto& [line, what] : broken) {
    const auto questions = parse_questions("\n" + line + "\n", "f.jsonl");
    ASSERT_EQ(questions.size(), 1U);
    EXPECT_NE(questions[0].error.find("f.jsonl, line 2: "), std::string::npos) << line;
    EXPECT_NE(questions[0].error.find(what), std::string::npos) << questions[0].error;
  }
  EXPECT_THROW(parse_questions(" \n", "f"), Error);
}

TEST(ContextWithShots, IsTheSameWhateverTheOrderAndNeverHoldsTheQuestionItself) {
  std::string text;
  for (int i = 0; i < 9; ++i)
    text +=
        "{\"id\": \"q" + std::to_string(i) + "\", \"context\": \"c" + std::to_string(i) + "\", \"answer\": \"w\"}\n";
  auto questions = parse_questions(text, "f");
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const std::string context = context_with_shots(questions, i, 3);
    EXPECT_EQ(context.size(), 3 * 5 + 2U);  // "c1w\n\n" three times, and its own
    EXPECT_EQ(context.find(questions[i].context), context.size() - 2);
    auto turned = questions;
    std::swap(turned[0], turned[8]);
    std::swap(turned[2], turned[5]);
    const std::size_t place = i == 0 ? 8 : i == 8 ? 0 : i == 2 ? 5 : i == 5 ? 2 : i;
    EXPECT_EQ(context_with_shots(turned, place, 3), context);
  }
}

TEST(ContextWithShots, HoldsTheRightChoicesOfItsOwnKindAndArea) {
  std::string text;
  for (const char* id : {"a", "b", "c"})
    text += std::string("{\"id\": \"") + id + "\", \"area\": \"x\", \"kind\": \"k\", \"context\": \"Q" + id +
            "\", \"choices\": [\" no\", \" yes\"], \"answer\": 1}\n";
  text +=
      "{\"id\": \"d\", \"area\": \"x\", \"kind\": \"other\", \"context\": \"Qd\", \"answer\": \" w\"}\n"
      "{\"id\": \"e\", \"area\": \"y\", \"kind\": \"k\", \"context\": \"Qe\", \"answer\": \" w\"}\n";
  const auto questions = parse_questions(text, "f");
  const std::string context = context_with_shots(questions, 0, 5);
  EXPECT_TRUE(context == "Qb yes\n\nQc yes\n\nQa" || context == "Qc yes\n\nQb yes\n\nQa") << context;
  EXPECT_EQ(context_with_shots(questions, 3, 5), "Qd");
}

}  // namespace
}  // namespace lmbits
