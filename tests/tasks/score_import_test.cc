// Files of other tools: really written ones (tests/data/scores) and made ones.
#include "src/tasks/score_import.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

ImportedScores import(const std::string& text, const ImportOptions& options = {}, const std::string& source = "f") {
  return import_scores(text, source, options);
}

std::string refusal(const std::string& text, const ImportOptions& options = {}) {
  try {
    import(text, options);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::string committed(const std::string& name) {
  const char* source = std::getenv("LMBITS_SOURCE_DIR");
  return read_file(std::filesystem::path(source == nullptr ? "." : source) / "tests/data/scores" / name);
}

const Score* find(const ImportedScores& imported, const std::string& benchmark, const std::string& metric,
                  const std::string& model = "") {
  for (const Score& score : imported.scores)
    if (score.benchmark == benchmark && score.metric == metric && (model.empty() || score.model == model))
      return &score;
  return nullptr;
}

ImportOptions with_model(const std::string& model) {
  ImportOptions options;
  options.model = model;
  return options;
}

// ---- lm-eval ----

TEST(ScoreImport, ReadsWhatLmEvalWrote) {
  const std::string text = committed("lm-eval-0.4.13.json");
  const ImportedScores groups = import(text);
  EXPECT_EQ(groups.format, "lm-eval");
  ASSERT_EQ(groups.scores.size(), 3u);  // three groups; their six tasks are left out
  const Json results = Json::parse(text);
  for (const char* area : {"prose", "code", "maths"}) {
    const std::string name = std::string("cloze_") + area;
    const Score* score = find(groups, name, "acc", "xs-byte-100");
    ASSERT_NE(score, nullptr) << name;
    EXPECT_EQ(score->value, results["groups"][name]["acc,none"].get<double>());
    EXPECT_EQ(score->standard_error, results["groups"][name]["acc_stderr,none"].get<double>());
    EXPECT_EQ(score->n, 40);
  }
  ASSERT_EQ(groups.left_out.size(), 1u);
  EXPECT_NE(groups.left_out[0].find("6 parts of groups"), std::string::npos);
  ImportOptions all;
  all.subtasks = true;
  const ImportedScores tasks = import(text, all);
  EXPECT_EQ(tasks.scores.size(), 6u * 2 + 3);
  const Score* shuf = find(tasks, "cloze_prose_shuf", "acc_norm");
  ASSERT_NE(shuf, nullptr);
  EXPECT_EQ(shuf->value, results["results"]["cloze_prose_shuf"]["acc_norm,none"].get<double>());
  EXPECT_EQ(shuf->n, 20);
}

TEST(ScoreImport, ReadsLmEvalsOldAndNewKeys) {
  const ImportedScores old_style = import(
      R"({"results": {"hellaswag": {"acc": 0.5, "acc_stderr": 0.01, "acc_norm": 0.6, "acc_norm_stderr": 0.02}},
          "versions": {"hellaswag": 0}, "config": {"model": "hf-causal", "model_args": "dtype=float16,pretrained=EleutherAI/pythia-160m,revision=main"}})");
  ASSERT_EQ(old_style.scores.size(), 2u);
  EXPECT_EQ(old_style.scores[1].model, "EleutherAI/pythia-160m");
  EXPECT_EQ(old_style.scores[1].metric, "acc_norm");
  EXPECT_EQ(old_style.scores[1].standard_error, 0.02);
  const ImportedScores new_style = import(
      R"({"results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.4, "exact_match_stderr,strict-match": 0.013,
                               "exact_match,flexible-extract": 0.45, "exact_match_stderr,flexible-extract": "N/A"}},
          "n-samples": {"gsm8k": {"original": 1319, "effective": 100}}, "model_name": "m",
          "config": {"model": "hf", "model_args": {"pretrained": "other"}}})");
  ASSERT_EQ(new_style.scores.size(), 2u);
  EXPECT_EQ(new_style.scores[0].model, "m");
  EXPECT_EQ(new_style.scores[0].metric, "exact_match,strict-match");
  EXPECT_EQ(new_style.scores[0].standard_error, 0.013);
  EXPECT_EQ(new_style.scores[0].n, 100);
  EXPECT_EQ(new_style.scores[1].metric, "exact_match,flexible-extract");
  EXPECT_FALSE(new_style.scores[1].standard_error);
}

TEST(ScoreImport, LeavesOutWhatHasNoValue) {
  const ImportedScores imported = import(
      R"({"results": {"a": {"acc,none": NaN, "acc_norm,none": "N/A", "f1,none": null, "em,none": 0.25, "text NaN": "NaN"}}, "model_name": "m"})");
  ASSERT_EQ(imported.scores.size(), 1u);
  EXPECT_EQ(imported.scores[0].metric, "em");
  EXPECT_EQ(imported.left_out, (std::vector<std::string>{"a acc: no value", "a acc_norm: no value", "a f1: no value"}));
}

TEST(ScoreImport, TakesAModelsNameThatIsGiven) {
  const std::string text = R"({"results": {"a": {"acc,none": 0.5}}})";
  EXPECT_EQ(refusal(text), "f: neither \"model_name\" nor \"config\".\"model_args\" names no model");
  EXPECT_EQ(import(text, with_model("mine")).scores[0].model, "mine");
}

// ---- lighteval ----

TEST(ScoreImport, ReadsWhatLightevalWrote) {
  const std::string text = committed("lighteval-0.13.0.json");
  const ImportedScores averages = import(text);
  EXPECT_EQ(averages.format, "lighteval");
  const Json results = Json::parse(text)["results"];
  ImportOptions all;
  all.subtasks = true;
  const ImportedScores tasks = import(text, all);
  const Score* score = find(tasks, "cloze:prose-shuf", "acc", "xs-byte-100");
  ASSERT_NE(score, nullptr);
  EXPECT_EQ(score->value, results["cloze:prose-shuf|0"]["acc"].get<double>());
  EXPECT_EQ(score->standard_error, results["cloze:prose-shuf|0"]["acc_stderr"].get<double>());
  EXPECT_FALSE(score->n);  // this version writes -1
  const Score* average = find(averages, "cloze", "acc");
  ASSERT_NE(average, nullptr);
  EXPECT_EQ(averages.scores.size(), 1u);
  EXPECT_EQ(average->value, results["cloze:_average|0"]["acc"].get<double>());
  for (const Score& each : tasks.scores) EXPECT_NE(each.benchmark, "all");
}

TEST(ScoreImport, ReadsLightevalsOldNames) {
  const ImportedScores imported = import(
      R"({"config_general": {"model_name": "org/m"}, "results": {"leaderboard|arc:challenge|25|0": {"acc": 0.3, "acc_stderr": 0.01, "acc_norm": 0.4},
          "lighteval|gsm8k|5|0": {"qem": 0.2}, "all": {"acc": 0.3}}, "config_tasks": {"leaderboard|arc:challenge": {"effective_num_docs": 1172}}})");
  ASSERT_EQ(imported.scores.size(), 3u);
  EXPECT_EQ(imported.scores[0].benchmark, "arc:challenge");
  EXPECT_EQ(imported.scores[0].n, 1172);
  EXPECT_EQ(imported.scores[2].benchmark, "gsm8k");
}

// ---- HELM ----

// As HELM writes it (benchmark/metrics/statistic.py, metric_name.py, runner.py): fields that are None are left out, a
// statistic that nothing was added to has no mean, worst cases are perturbations with "computed_on".
const char* const kHelm =
    R"([{"name": {"name": "num_references", "split": "test"}, "count": 1, "sum": 4.0, "sum_squared": 16.0, "min": 4.0, "max": 4.0, "mean": 4.0, "variance": 0.0, "stddev": 0.0},
        {"name": {"name": "exact_match", "split": "valid"}, "count": 1, "sum": 0.1, "sum_squared": 0.01, "min": 0.1, "max": 0.1, "mean": 0.1, "variance": 0.0, "stddev": 0.0},
        {"name": {"name": "exact_match", "split": "test"}, "count": 1, "sum": 0.3, "sum_squared": 0.09, "min": 0.3, "max": 0.3, "mean": 0.3, "variance": 0.0, "stddev": 0.0},
        {"name": {"name": "exact_match", "split": "test", "perturbation": {"name": "robustness", "robustness": true, "fairness": false, "computed_on": "worst"}}, "count": 1, "sum": 0.2, "sum_squared": 0.04, "min": 0.2, "max": 0.2, "mean": 0.2, "variance": 0.0, "stddev": 0.0},
        {"name": {"name": "quasi_exact_match", "split": "test"}, "count": 0, "sum": 0, "sum_squared": 0},
        {"name": {"name": "num_instances", "split": "test"}, "count": 1, "sum": 114.0, "sum_squared": 12996.0, "min": 114.0, "max": 114.0, "mean": 114.0, "variance": 0.0, "stddev": 0.0},
        {"name": {"name": "num_instances", "split": "test", "perturbation": {"name": "robustness", "robustness": true, "fairness": false, "computed_on": "worst"}}, "count": 1, "mean": 50.0},
        {"name": {"name": "num_instances", "split": "valid"}, "count": 1, "mean": 11.0},
        {"name": {"name": "inference_runtime", "split": "test"}, "count": 1, "mean": 1.5}])";

TEST(ScoreImport, ReadsHelmsTestSplitUnperturbed) {
  const ImportedScores imported = import(kHelm, {}, "/x/mmlu:subject=law,method=joint,model=openai_gpt2/stats.json");
  EXPECT_EQ(imported.format, "helm");
  ASSERT_EQ(imported.scores.size(), 1u);
  EXPECT_EQ(imported.scores[0].model, "openai_gpt2");
  EXPECT_EQ(imported.scores[0].benchmark, "mmlu:subject=law,method=joint");
  EXPECT_EQ(imported.scores[0].value, 0.3);
  EXPECT_EQ(imported.scores[0].n, 114);
  EXPECT_EQ(imported.left_out, (std::vector<std::string>{"quasi_exact_match: no value"}));
  const ImportedScores single = import(kHelm, {}, "/x/narrative_qa:model=m/stats.json");
  EXPECT_EQ(single.scores[0].benchmark, "narrative_qa");
  EXPECT_EQ(single.scores[0].model, "m");
}

// Written by HELM's own classes (scripts/make_score_fixtures.py): 69 of 400 questions.
TEST(ScoreImport, ReadsWhatHelmsClassesWrote) {
  const ImportedScores imported =
      import(committed("helm-0.5.16.json"), {}, "/x/cloze-prose:kind=shuf,model=xs-byte-100/stats.json");
  EXPECT_EQ(imported.format, "helm");
  ASSERT_EQ(imported.scores.size(), 1u);  // not the worst case under perturbations, nor the run time
  EXPECT_EQ(imported.scores[0].model, "xs-byte-100");
  EXPECT_EQ(imported.scores[0].benchmark, "cloze-prose:kind=shuf");
  EXPECT_EQ(imported.scores[0].metric, "exact_match");
  EXPECT_EQ(imported.scores[0].value, 69.0 / 400.0);
  EXPECT_EQ(imported.scores[0].n, 400);
  EXPECT_EQ(imported.left_out, (std::vector<std::string>{"quasi_exact_match: no value"}));
}

TEST(ScoreImport, TellsHelmsSubSplitsApartAndTakesNullForNone) {
  ImportOptions options = with_model("m");
  options.benchmark = "b";
  const ImportedScores imported = import(
      R"([{"name": {"name": "f1_score", "split": "valid", "sub_split": "toxic", "perturbation": null}, "mean": 0.5},
          {"name": {"name": "f1_score", "split": "valid", "sub_split": "nontoxic"}, "mean": 0.25},
          {"name": {"name": "num_instances", "split": "valid", "sub_split": "toxic"}, "mean": 7.0},
          {"name": {"name": "f1_score", "split": "train"}, "mean": 1.0}])",
      options);
  ASSERT_EQ(imported.scores.size(), 2u);
  EXPECT_EQ(find(imported, "b", "f1_score,toxic")->value, 0.5);
  EXPECT_EQ(find(imported, "b", "f1_score,toxic")->n, 7);
  EXPECT_FALSE(find(imported, "b", "f1_score,nontoxic")->n);
  const ImportedScores other = import(R"([{"name": {"name": "toxic_frac", "split": "test"}, "mean": 0.5}])", options);
  EXPECT_TRUE(other.scores.empty());
  ASSERT_EQ(other.left_out.size(), 1u);
  EXPECT_NE(other.left_out[0].find("known measures of answers"), std::string::npos);
}

TEST(ScoreImport, AsksForHelmsNamesWhereTheFolderHasNone) {
  EXPECT_NE(refusal(kHelm).find("the folder's name names no model"), std::string::npos);
  EXPECT_NE(refusal(kHelm, with_model("m")).find("names no benchmark"), std::string::npos);
  EXPECT_EQ(refusal(R"([{"mean": 1}])", with_model("m")), "f: the folder's name names no benchmark");
  ImportOptions options = with_model("m");
  options.benchmark = "b";
  EXPECT_EQ(refusal(R"([{"mean": 1}])", options), "f: [0].name is missing or no object");
}

// ---- CSV ----

TEST(ScoreImport, ReadsOpenCompassSummaries) {
  const ImportedScores imported = import(
      "dataset,version,metric,mode,model-a,model-b\n"
      "--------- Exam ---------,-,-,-,-,-\n"
      "ARC-c,1e0de5,accuracy,ppl,42.5,-\n"
      "humaneval,8e312c,humaneval_pass@1,gen,10.98,20\n"
      "llm_compression,abc,bpc,ppl,0.59,0.6\n");
  EXPECT_EQ(imported.format, "opencompass");
  ASSERT_EQ(imported.scores.size(), 5u);
  EXPECT_EQ(find(imported, "ARC-c", "accuracy", "model-a")->value, 0.425);
  EXPECT_NEAR(find(imported, "humaneval", "humaneval_pass@1", "model-b")->value, 0.2, 1e-15);
  EXPECT_EQ(find(imported, "llm_compression", "bpc", "model-a")->value, 0.59);
  EXPECT_EQ(imported.left_out, (std::vector<std::string>{"ARC-c of model-b: no value"}));
}

// Written by OpenCompass' DefaultSummarizer (scripts/make_score_fixtures.py): the second model was not run.
TEST(ScoreImport, ReadsWhatOpenCompassWrote) {
  const ImportedScores imported = import(committed("opencompass-0.5.4.csv"));
  EXPECT_EQ(imported.format, "opencompass");
  ASSERT_EQ(imported.scores.size(), 3u);
  EXPECT_EQ(find(imported, "cloze-prose-shuf", "accuracy", "xs-byte-100")->value, 0.1725);
  EXPECT_EQ(find(imported, "cloze-prose-sub1", "accuracy", "xs-byte-100")->value, 0.26);
  EXPECT_EQ(find(imported, "cloze-prose-next", "accuracy", "xs-byte-100")->value, 0.0);
  EXPECT_EQ(imported.left_out.size(), 5u);
}

TEST(ScoreImport, ReadsLongAndWideTables) {
  const ImportedScores long_table =
      import("Model,Task,metric,Score,n,stderr,area\nm,arc,acc,0.5,100,0.05,knowledge\nm,gsm8k,em,NA,,,\n");
  ASSERT_EQ(long_table.scores.size(), 1u);
  EXPECT_EQ(long_table.scores[0].metric, "acc");
  EXPECT_EQ(long_table.scores[0].area, "knowledge");
  EXPECT_EQ(long_table.scores[0].n, 100);
  EXPECT_EQ(long_table.scores[0].standard_error, 0.05);
  ImportOptions options;
  options.percent = true;
  options.areas = {{"arc", "knowledge"}};
  options.area = "other";
  const ImportedScores wide = import("model,arc,gsm8k,average,bpc_cc\nm,50,25,37.5,0.6\nk,40,,40,0.7\n", options);
  ASSERT_EQ(wide.scores.size(), 3u);
  EXPECT_EQ(find(wide, "arc", "score", "k")->value, 0.4);
  EXPECT_EQ(find(wide, "arc", "score", "k")->area, "knowledge");
  EXPECT_EQ(find(wide, "gsm8k", "score", "m")->area, "other");
  EXPECT_EQ(wide.left_out, (std::vector<std::string>{"gsm8k of k: no value", "column average: not a benchmark",
                                                     "column bpc_cc: not a benchmark"}));
}

TEST(ScoreImport, PercentsHaveStandardErrorsInPercentToo) {
  ImportOptions options;
  options.percent = true;
  const ImportedScores imported = import("model,task,score,stderr\nm,arc,50,5\n", options);
  EXPECT_EQ(imported.scores[0].value, 0.5);
  EXPECT_EQ(imported.scores[0].standard_error, 0.05);
}

TEST(ScoreImport, KeepsNamesThatLookLikeNoNumber) {
  const ImportedScores imported = import(
      R"({"results": {"NaN \"quiz\" NaN": {"acc,none": 0.5, "em,none": -Infinity}}, "model_name": "Infinity-7b"})");
  ASSERT_EQ(imported.scores.size(), 1u);
  EXPECT_EQ(imported.scores[0].benchmark, "NaN \"quiz\" NaN");
  EXPECT_EQ(imported.scores[0].model, "Infinity-7b");
}

TEST(ScoreImport, SaysThatValuesLookLikePercents) {
  const ImportedScores imported = import("model,arc\nm,50\n");
  ASSERT_EQ(imported.warnings.size(), 1u);
  EXPECT_NE(imported.warnings[0].find("--percent"), std::string::npos);
}

TEST(ScoreImport, ReadsItsOwnFormat) {
  const ImportedScores imported = import(
      R"({"schema":1,"model":"m","benchmark":"b","area":null,"metric":"acc","value":0.5,"n":null,"stderr":null,"source":"elsewhere"})");
  EXPECT_EQ(imported.format, "jsonl");
  EXPECT_EQ(imported.scores[0].source, "elsewhere");
}

// ---- malformed ----

TEST(ScoreImport, RefusesMalformedFilesWithTheKeyNamed) {
  EXPECT_EQ(refusal(R"({"results": {"a": {"acc,none": "half"}}, "model_name": "m"})"),
            "f: results.a.acc,none is \"half\", not a number");
  EXPECT_EQ(refusal(R"({"results": {"a": {"acc,none": 0.5, "acc_stderr,none": [1]}}, "model_name": "m"})"),
            "f: results.a.acc_stderr,none is [1], not a number");
  EXPECT_EQ(refusal(R"({"results": {"a": 0.5}, "model_name": "m"})"), "f: results.a is 0.5, not an object");
  EXPECT_EQ(refusal(R"({"results": [1], "model_name": "m"})"), "f: \"results\" is [1], not an object");
  EXPECT_EQ(refusal(R"({"config_general": {"model_name": "m"}})"), "f: \"results\" is missing");
  EXPECT_EQ(refusal(R"({"config_general": {"model_name": "m"}, "results": {"t|0": {"acc": {}}}})"),
            "f: results.t|0.acc is {}, not a number");
  EXPECT_EQ(refusal(R"({"something": 1})"), "f has neither \"results\" nor \"config_general\"");
  EXPECT_EQ(refusal(R"({"results": {"a": {"acc,none": 0.5)"), "f is neither JSON nor CSV");
  EXPECT_EQ(refusal(""), "f is empty");
  EXPECT_EQ(refusal("a,b\n1,2\n"), "f: the header has no column \"model\"");
  EXPECT_EQ(refusal("model,arc\nm,good\n"), "f, line 2, column arc: \"good\" is no number");
  ImportOptions options;
  options.format = "lm-evl";
  EXPECT_EQ(refusal("{}", options), "unknown format lm-evl");
  options.format = "opencompass";
  EXPECT_EQ(refusal("model,arc\nm,1\n", options), "f: the header is not dataset, version, metric, mode, MODEL ...");
}

// Every prefix of a real file and every single byte of it changed: read or refused, never a crash.
TEST(ScoreImport, SurvivesDamagedFiles) {
  const std::string text = committed("lm-eval-0.4.13.json").substr(0, 3000);
  const auto try_import = [](const std::string& damaged) {
    for (const char* format : {"auto", "lm-eval", "lighteval", "helm", "csv", "jsonl"}) {
      ImportOptions options;
      options.format = format;
      try {
        import(damaged, options);
      } catch (const Error&) {
      }
    }
  };
  for (std::size_t i = 0; i < text.size(); i += 7) try_import(text.substr(0, i));
  const std::string whole =
      R"({"results":{"a":{"acc,none":0.5,"acc_stderr,none":"N/A"}},"groups":{"g":{"acc,none":1}},"group_subtasks":{"g":["a"]},"model_name":"m"})";
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char c : {'"', '{', '}', ',', '1', 'N'}) {
      std::string damaged = whole;
      damaged[i] = c;
      try_import(damaged);
    }
  }
}

TEST(ScoreImport, TakesTheTasksOfAGroupWithoutAScore) {
  const ImportedScores imported = import(
      R"({"model_name": "m", "results": {"g": {"alias": "g", " ": " "}, "t": {"acc,none": 0.5}},
          "groups": {"g": {"alias": "g", " ": " ", "sample_len": 5}}, "group_subtasks": {"g": ["t"], "t": []}})");
  ASSERT_EQ(imported.scores.size(), 1u);
  EXPECT_EQ(imported.scores[0].benchmark, "t");
}

// ---- direction ----

TEST(ScoreImport, TakesTheDirectionFromTheFileElseFromTheName) {
  const ImportedScores imported = import(
      R"({"model_name": "m", "results": {"t": {"acc,none": 0.5, "word_perplexity,none": 9, "odd,none": 2, "loss,none": 1}},
          "higher_is_better": {"t": {"odd": false, "loss": true}}})");
  EXPECT_FALSE(find(imported, "t", "acc")->lower_is_better);
  EXPECT_TRUE(find(imported, "t", "word_perplexity")->lower_is_better);
  EXPECT_TRUE(find(imported, "t", "odd")->lower_is_better);
  EXPECT_FALSE(find(imported, "t", "loss")->lower_is_better);
  const ImportedScores again = import(to_jsonl(imported.scores));
  EXPECT_TRUE(find(again, "t", "odd")->lower_is_better);
  EXPECT_FALSE(find(again, "t", "loss")->lower_is_better);
  const ImportedScores wide = import("model,arc,wikitext_ppl\nm,0.5,9\n");
  EXPECT_FALSE(find(wide, "arc", "score")->lower_is_better);
  EXPECT_TRUE(find(wide, "wikitext_ppl", "score")->lower_is_better);
}

}  // namespace
}  // namespace lmbits
