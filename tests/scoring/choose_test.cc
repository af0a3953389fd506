#include "src/scoring/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "src/core/file.h"
#include "src/core/json.h"
#include "src/model/load.h"
#include "src/store/checked_line.h"
#include "src/tasks/score_import.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = std::getenv("LMBITS_SOURCE_DIR") ? std::getenv("LMBITS_SOURCE_DIR") : ".";
const std::string kDemo = (kSource / "models/demo/s-sp-4000.pt").string();

std::string line_of(int i) {
  const std::string id = "q" + std::to_string(i),
                    context =
                        "once upon a time " + std::string(static_cast<std::size_t>(i % 7), 'x') + std::to_string(i);
  if (i % 3 == 2)
    return Json({{"id", id},
                 {"area", "a"},
                 {"kind", "next"},
                 {"context", context},
                 {"choices", Json::array()},
                 {"answer", " one"}})
        .dump();
  const std::string longer(static_cast<std::size_t>(i % 5) * 9, 'z');
  return Json({{"id", id},
               {"area", "a"},
               {"kind", "pick"},
               {"context", context},
               {"choices", {" the", "t", " th" + longer, "q" + longer}},
               {"answer", i % 4}})
      .dump();
}

class Choose : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<std::string>& lines) {
    std::ofstream file(folder_ / name, std::ios::binary);
    for (const std::string& line : lines) file << line << "\n";
    return folder_ / name;
  }
  std::string write_questions(int n) {
    std::vector<std::string> lines;
    for (int i = 0; i < n; ++i) lines.push_back(line_of(i));
    return write("quiz.jsonl", lines);
  }
  std::string toy() { return testing::write_toy_bundle(folder_ / "toy.pt", {.context = 64}); }

  ChooseRequest request(const std::string& model, const std::string& questions, const std::string& output) {
    ChooseRequest r;
    r.models = {model};
    r.questions = {questions};
    r.output = folder_ / output;
    return r;
  }

  static ChooseOutcome run(const ChooseRequest& request) {
    NoProgress silent;
    return choose(request, silent);
  }

  // The lines of every file of answers below, by id, without order.
  static std::map<std::string, std::string> answers(const ChooseRequest& request) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(request.output / "answers")) {
      std::ifstream file(entry.path());
      std::string line;
      std::getline(file, line);  // the header
      while (std::getline(file, line)) {
        const auto json = parse_checked_line(line);
        EXPECT_TRUE(json) << line;
        EXPECT_TRUE(found.emplace((*json)["id"].get<std::string>(), json->dump()).second) << line;
      }
    }
    return found;
  }

  testing::TemporaryFolder folder_;
};

TEST_F(Choose, AUniformModelPaysEveryByteAlikeAndPicksTheShortest) {
  const auto asked = request("uniform:256", write_questions(12), "out");
  const ChooseOutcome outcome = run(asked);
  EXPECT_EQ(outcome.exit_code(), 0);
  for (const auto& [id, text] : answers(asked)) {
    const Json json = Json::parse(text);
    for (std::size_t i = 0; i < json["bits"].size(); ++i)
      EXPECT_NEAR(json["bits"][i].get<double>(), 8.0 * json["n_bytes"][i].get<double>(), 1e-9) << id;
    if (json.contains("picked")) {
      EXPECT_EQ(json["picked"]["acc"], 1) << id;
    }
  }
}

// log p(continuation | context) is what context + continuation costs beyond the context: two questions say so.
TEST_F(Choose, BitsOfTwoHalvesAddUpToThoseOfTheWhole) {
  const auto ask = [](const char* id, const char* context, const char* answer) {
    return Json({{"id", id}, {"context", context}, {"choices", Json::array()}, {"answer", answer}}).dump();
  };
  const auto asked = request(
      toy(),
      write("quiz.jsonl", {ask("whole", "abc", "defgh"), ask("first", "abc", "de"), ask("second", "abcde", "fgh")}),
      "out");
  run(asked);
  const auto found = answers(asked);
  const auto bits = [&](const char* id) { return Json::parse(found.at(id))["bits"][0].get<double>(); };
  EXPECT_NEAR(bits("whole"), bits("first") + bits("second"), 1e-5 * bits("whole"));
}

TEST_F(Choose, OrderOfQuestionsBatchSizeAndThreadsChangeNothing) {
  const auto base = request(toy(), write_questions(60), "base");
  const auto scores = run(base).results;
  const auto expected = answers(base);
  ASSERT_EQ(expected.size(), 60U);
  std::vector<std::string> lines;
  for (int i = 59; i >= 0; --i) lines.push_back(line_of((i * 17) % 60));
  fs::create_directory(folder_ / "other");
  auto shuffled = request(toy(), write("other/quiz.jsonl", lines), "shuffled");
  run(shuffled);
  EXPECT_EQ(answers(shuffled), expected);
  for (const auto& [positions, threads] : std::vector<std::pair<int, int>>{{1, 1}, {100, 3}, {4096, 2}, {100000, 4}}) {
    auto other = base;
    other.output = folder_ / ("out-" + std::to_string(positions));
    other.batch_positions = positions;
    other.n_threads = threads;
    run(other);
    const auto found = answers(other);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [id, text] : expected) {  // libtorch's products may round otherwise for another B
      const Json a = Json::parse(found.at(id)), b = Json::parse(text);
      EXPECT_EQ(a.value("picked", Json()), b.value("picked", Json())) << id;
      for (std::size_t i = 0; i < a["bits"].size(); ++i)
        EXPECT_NEAR(a["bits"][i].get<double>(), b["bits"][i].get<double>(), 1e-6 * b["bits"][i].get<double>()) << id;
    }
  }
}

TEST_F(Choose, AResumeKeepsWhatIsSoundAndEndsWithTheSameAnswers) {
  const auto base = request(toy(), write_questions(60), "base");
  run(base);
  const auto expected = answers(base);
  const fs::path file = base.output / "answers" / "toy__quiz.jsonl";
  const std::string whole = read_file(file), scores = read_file(base.output / "scores.jsonl");
  for (const std::size_t cut : {whole.size() / 3, whole.size() / 2 + 7, whole.size() - 1}) {
    std::string torn = whole.substr(0, cut);
    torn[cut / 2] = static_cast<char>(torn[cut / 2] ^ 1);  // and a flipped bit amid
    std::ofstream(file, std::ios::binary) << torn;
    fs::remove(base.output / "scores.jsonl");
    run(base);
    EXPECT_EQ(answers(base), expected);
    EXPECT_EQ(read_file(base.output / "scores.jsonl"), scores);
  }
  auto shots = base;
  shots.n_shots = 1;
  EXPECT_THROW(run(shots), Error);  // other bits: refused, not mixed
}

TEST_F(Choose, BrokenQuestionsAreRecordedAndTheOthersAnswered) {
  const std::string too_long(100, 'y');
  const auto asked =
      request(toy(),
              write("quiz.jsonl", {line_of(0), "{", line_of(0), R"({"id": "no context", "answer": "x"})",
                                   R"({"id": "long", "context": "a", "answer": ")" + too_long + "\"}", line_of(1)}),
              "out");
  const ChooseOutcome outcome = run(asked);
  EXPECT_EQ(outcome.exit_code(), kExitSomeFailed);
  EXPECT_EQ(outcome.n_failed_questions, 4);
  const auto found = answers(asked);
  EXPECT_EQ(found.size(), 6U);
  EXPECT_NE(found.at("line 2").find("quiz.jsonl, line 2: it is not a JSON object"), std::string::npos);
  EXPECT_NE(found.at("line 3").find("the id q0 is there twice"), std::string::npos);
  EXPECT_NE(found.at("no context").find("\\\"context\\\" is missing"), std::string::npos) << found.at("no context");
  EXPECT_NE(found.at("long").find("100 tokens is longer"), std::string::npos);
  EXPECT_NE(found.at("q1").find("\"ok\""), std::string::npos);
}

TEST_F(Choose, SpacesAtTheContextsEndBelongToTheContinuation) {
  const auto tokenizer = make_byte_tokenizer(257, 256, std::nullopt);
  const EncodedPair pair = encode_pair(*tokenizer, "ab \n", "cd");
  EXPECT_EQ(pair.n_context, 2U);
  EXPECT_EQ(pair.ids.size(), 6U);
  EXPECT_EQ(encode_pair(*tokenizer, "\u3000ab\u3000\u00a0 ", "cd").n_context, 5U);
  EXPECT_EQ(encode_pair(*tokenizer, " \u2003", "cd").n_context, 0U);
}

// Encoded apart, "onc" and "e" are other pieces than "once": the whole is encoded, and cut at the context's own length.
TEST_F(Choose, TheWholeIsEncodedAndCutAtTheContextsOwnLength) {
  const auto model = open_model(parse_model_spec(kDemo), {});
  const Tokenizer& tokenizer = model->tokenizer();
  int n_differ = 0;
  for (const std::string whole : {"once upon a time", "He had never been there", "the understanding of it"}) {
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      if (whole[cut - 1] == ' ') continue;
      const std::string context = whole.substr(0, cut), continuation = whole.substr(cut);
      const EncodedPair pair = encode_pair(tokenizer, context, continuation);
      EXPECT_EQ(pair.ids, tokenizer.encode(whole).ids);
      EXPECT_EQ(pair.n_context, tokenizer.encode(context).ids.size()) << context << "|" << continuation;
      n_differ += pair.ids.size() != pair.n_context + tokenizer.encode(continuation).ids.size();
    }
  }
  EXPECT_GT(n_differ, 10) << "no cut inside a piece: the test would not see two encodings";
}

// The model's 64 positions take BOS, 62 bytes of context and the first of two bytes of the answer; a longer context loses
// BOS and then its beginning.
TEST_F(Choose, AContextLosesItsBeginningWhereItDoesNotFit) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>('a' + (i * i) % 26);
  const auto ask = [&](const char* id, std::size_t n_bytes) {
    return Json({{"id", id}, {"context", text.substr(100 - n_bytes)}, {"choices", Json::array()}, {"answer", "de"}})
        .dump();
  };
  const auto asked = request(toy(), write("quiz.jsonl", {ask("fits", 62), ask("no BOS", 63), ask("long", 100)}), "out");
  run(asked);
  const auto found = answers(asked);
  const auto of = [&](const char* id) { return Json::parse(found.at(id)); };
  EXPECT_EQ(of("fits")["truncated"], false);
  EXPECT_EQ(of("no BOS")["truncated"], true);
  EXPECT_EQ(of("long")["bits"], of("no BOS")["bits"]);
  EXPECT_NE(of("long")["bits"], of("fits")["bits"]);
}

TEST_F(Choose, BytesAreCountedNotCharacters) {
  const auto asked =
      request("uniform:256",
              write("quiz.jsonl",
                    {R"({"id": "q", "kind": "pick", "context": "c", "choices": [" ééé", " abcd"], "answer": 0})"}),
              "out");
  run(asked);
  const Json json = Json::parse(answers(asked).at("q"));
  EXPECT_EQ(json["n_bytes"], Json({7, 5}));
  EXPECT_NEAR(json["bits"][0].get<double>(), 56.0, 1e-9);
}

TEST_F(Choose, ResultsComeBackThroughTheImportUnchanged) {
  const auto asked = request("uniform:256", write_questions(30), "out");
  run(asked);
  const fs::path results = asked.output / "results_uniform-256.json";
  auto imported = import_scores(read_file(results), results.string(), {}).scores;
  auto written = parse_scores(read_file(asked.output / "scores.jsonl"), "scores.jsonl");
  EXPECT_EQ(to_jsonl(imported), to_jsonl(written));
  EXPECT_EQ(written.size(), 7U);  // five metrics of choices, two of exact matches
}

// The first `n` committed questions of prose with choices; no line breaks in them.
std::vector<Json> committed(std::size_t n) {
  std::vector<Json> questions;
  std::ifstream file(kSource / "models/benchmarks/cloze-prose.jsonl");
  for (std::string line; questions.size() < n && std::getline(file, line);) questions.push_back(Json::parse(line));
  return questions;
}

// Each continuation asked for by itself shares nothing.
TEST_F(Choose, WhatContinuationsShareChangesNoBitAndIsFedOnce) {
  std::vector<std::string> together, alone;
  for (const Json& q : committed(40)) {
    together.push_back(q.dump());
    for (std::size_t i = 0; i < q["choices"].size(); ++i)
      alone.push_back(Json({{"id", q["id"].get<std::string>() + "/" + std::to_string(i)},
                            {"kind", "next"},
                            {"context", q["context"]},
                            {"choices", Json::array()},
                            {"answer", q["choices"][i]}})
                          .dump());
  }
  const auto shared = request(kDemo, write("together.jsonl", together), "shared");
  const auto single = request(kDemo, write("alone.jsonl", alone), "single");
  const FedPositions some = run(shared).positions, all = run(single).positions;
  EXPECT_EQ(all.fed, all.one_by_one);
  EXPECT_EQ(some.one_by_one, all.one_by_one);
  EXPECT_LT(some.fed, 0.5 * static_cast<double>(some.one_by_one));
  const auto one_by_one = answers(single);
  for (const auto& [id, text] : answers(shared)) {
    const Json json = Json::parse(text);
    for (std::size_t i = 0; i < json["bits"].size(); ++i) {
      const Json own = Json::parse(one_by_one.at(id + "/" + std::to_string(i)));
      EXPECT_EQ(json["bits"][i], own["bits"][0]) << id << " " << i;
      EXPECT_EQ(json["greedy"][i], own["greedy"][0]) << id << " " << i;
    }
  }
}

TEST_F(Choose, ShotsAreAsIfTheyStoodInTheContext) {
  std::vector<std::string> lines, written_out;
  for (const Json& q : committed(30)) lines.push_back(q.dump());
  const std::string file = write("quiz.jsonl", lines);
  const auto questions = parse_questions(read_file(file), file);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    Json q = Json::parse(lines[i]);
    q["context"] = context_with_shots(questions, i, 2);
    EXPECT_GT(q["context"].get<std::string>().size(), 2 * questions[i].context.size());
    written_out.push_back(q.dump());
  }
  auto with_shots = request(kDemo, file, "with-shots");
  with_shots.n_shots = 2;
  const auto plain = request(kDemo, write("written-out.jsonl", written_out), "written-out");
  run(with_shots);
  run(plain);
  EXPECT_EQ(answers(with_shots), answers(plain));
  const auto none = request(kDemo, file, "no-shots");
  run(none);
  EXPECT_NE(answers(none), answers(plain));
  EXPECT_EQ(Json::parse(read_file(with_shots.output / "results_s-sp-4000.json"))["n-shot"].front(), 2);
}

// Fixture: scripts/make_choice_reference.py, an implementation in plain PyTorch.
TEST_F(Choose, PicksAndBitsAreThoseOfAnIndependentImplementation) {
  const Json reference = Json::parse(read_file(kSource / "tests/data/choice/reference.json"));
  std::vector<std::string> files;
  for (const char* area : {"code", "maths", "prose"}) {
    const std::string name = std::string("cloze-") + area + ".jsonl";
    std::vector<std::string> lines;
    std::ifstream all(kSource / "models/benchmarks" / name);
    for (std::string line; std::getline(all, line);) {
      const std::string id = "\"" + Json::parse(line)["id"].get<std::string>() + "\"";
      const auto& records = reference["models"].begin().value();
      if (std::any_of(records.begin(), records.end(), [&](const Json& r) { return r["id"].dump() == id; }))
        lines.push_back(line);
    }
    ASSERT_EQ(lines.size(), 60U);
    files.push_back(write(name, lines));
  }
  for (const auto& [model, records] : reference["models"].items()) {
    ChooseRequest asked = request((kSource / "models/demo" / (model + ".pt")).string(), "", "out-" + model);
    asked.questions = files;
    asked.n_threads = 2;
    EXPECT_EQ(run(asked).exit_code(), 0);
    const auto found = answers(asked);
    ASSERT_EQ(found.size(), records.size());
    int n_greedy = 0;
    for (const Json& expected : records) {
      const Json actual = Json::parse(found.at(expected["id"].get<std::string>()));
      const std::string where = model + " " + actual["id"].get<std::string>();
      EXPECT_EQ(actual.value("picked", Json()), expected["picked"]) << where;
      EXPECT_EQ(actual["greedy"], expected["greedy"]) << where;
      EXPECT_EQ(actual["n_tokens"], expected["n_tokens"]) << where;
      ASSERT_EQ(actual["bits"].size(), expected["bits"].size());
      for (std::size_t i = 0; i < actual["bits"].size(); ++i) {
        const double bits = expected["bits"][i].get<double>();
        EXPECT_NEAR(actual["bits"][i].get<double>(), bits, 1e-5 * bits) << where;
      }
      n_greedy += expected["picked"].is_null() && expected["greedy"][0] == true;
    }
    EXPECT_GT(n_greedy, 0) << "no exact match: the comparison would not see one";
  }
}

}  // namespace
}  // namespace lmbits
