#include "src/report/compression_table.h"

#include <gtest/gtest.h>

#include "src/core/error.h"
#include "tests/report/make_run.h"

namespace lmbits {
namespace {

ScoredRun scored_run(const std::string& model, const std::string& corpus, double bits_per_byte, std::int64_t step,
                     const std::string& convention = "default") {
  ScoredRun run = make_run(model, corpus, some_bits(12, bits_per_byte), convention);
  run.summary["bits_per_byte"] = bits_per_byte;
  run.summary["bits_per_char"] = 1.1 * bits_per_byte;
  run.summary["bits_per_token"] = 4.0 * bits_per_byte;
  run.summary["ratio"] = 8.0 / bits_per_byte;
  run.summary["interval"] = {{"bits_per_byte", {bits_per_byte - 0.1, bits_per_byte + 0.1}}};
  run.manifest["model"]["metadata"] = {{"parameters", {{"total", 1000}}},
                                       {"training", {{"step", step}, {"tokens", 5000}}}};
  return run;
}

std::string refusal(const std::string& csv) {
  try {
    compression_of_csv(parse_csv(csv, "c.csv"));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(CompressionTable, OfRunsHoldsWhatTheyMeasured) {
  const CompressionTable table =
      compression_of_runs({scored_run("m-sp-300", "prose", 2.0, 300), scored_run("m-sp-600", "prose", 1.8, 600)}, "");
  ASSERT_EQ(table.rows.size(), 2u);
  const Compression& row = *table.find("m-sp-600", "prose");
  EXPECT_EQ(row.bits_per_byte, 1.8);
  EXPECT_EQ(row.value(CompressionMetric::kBitsPerToken), 7.2);
  EXPECT_EQ(row.value(CompressionMetric::kRatio), 8.0 / 1.8);
  EXPECT_EQ(row.gzip_ratio, 4.0);
  EXPECT_DOUBLE_EQ(row.interval->lo, 1.7);
  EXPECT_EQ(table.models.at("m-sp-600").parameters, 1000.0);
  EXPECT_EQ(table.models.at("m-sp-600").training_tokens, 5000.0);
}

TEST(CompressionTable, KnowsCheckpointsOfOneTrainingRun) {
  const CompressionTable table =
      compression_of_runs({scored_run("m-sp-300", "a", 2.0, 300), scored_run("m-sp-600", "a", 1.8, 600),
                           scored_run("llama-7", "a", 1.8, 99)},
                          "");
  EXPECT_EQ(table.models.at("m-sp-300").family, "m-sp");
  EXPECT_EQ(table.models.at("m-sp-600").family, "m-sp");
  EXPECT_EQ(table.models.at("llama-7").family, "llama");  // 7 is not its step
  EXPECT_EQ(table.family_kind, "training runs");
}

TEST(CompressionTable, LeavesOutAndNamesUnfinishedRuns) {
  std::vector<ScoredRun> runs = {scored_run("a", "x", 2.0, 1), scored_run("b", "x", 2.0, 1)};
  runs[1].summary = nullptr;
  const CompressionTable table = compression_of_runs(runs, "");
  EXPECT_EQ(table.rows.size(), 1u);
  EXPECT_EQ(table.notes, (std::vector<std::string>{"b on x: unfinished, left out"}));
}

TEST(CompressionTable, AsksForTheConvention) {
  const std::vector<ScoredRun> runs = {scored_run("a", "x", 2.0, 1), scored_run("a", "x", 2.1, 1, "gptq")};
  EXPECT_THROW(compression_of_runs(runs, ""), Error);
  EXPECT_THROW(compression_of_runs(runs, "lm-eval"), Error);
  EXPECT_THROW(compression_of_runs({}, ""), Error);
  EXPECT_EQ(compression_of_runs(runs, "gptq").rows[0].bits_per_byte, 2.1);
}

// As opencompass/summarizers/llm_compression.py writes it.
TEST(CompressionTable, ReadsOpenCompassPivots) {
  const CompressionTable table =
      compression_of_csv(parse_csv("metric,version,model,commoncraw,python,arxiv_math,average\n"
                                   "bpc,7a8f1b,llama-30b,0.5501,0.3162,0.4219,0.4294\n"
                                   "bpc,7a8f1b,qwen-7b,0.6453,0.3088,-,0.4770\n",
                                   "c"));
  EXPECT_EQ(table.corpora, (std::vector<std::string>{"commoncraw", "python", "arxiv_math"}));
  EXPECT_EQ(table.find("llama-30b", "python")->bits_per_char, 0.3162);
  EXPECT_EQ(table.find("qwen-7b", "arxiv_math"), nullptr);
  EXPECT_EQ(refusal("metric,version,model,x,average\nbpc,1,a,1,1\nloss,1,a,1,1\n"),
            "c.csv, line 3: metric loss after bpc");
}

TEST(CompressionTable, ReadsWideAndLongTables) {
  const CompressionTable wide = compression_of_csv(
      parse_csv("model,bpc_cc,bpc_python,bpc_average,other\nLlama-2-7b,0.6,0.3,0.45,x\nYi-6b,0.7,,0.7,y\n", "c"));
  EXPECT_EQ(wide.corpora, (std::vector<std::string>{"cc", "python"}));
  EXPECT_EQ(wide.find("Llama-2-7b", "python")->bits_per_char, 0.3);
  EXPECT_EQ(wide.find("Yi-6b", "python"), nullptr);
  EXPECT_EQ(wide.models.at("Llama-2-7b").family, "llama");
  EXPECT_EQ(wide.models.at("Llama-2-7b").parameters, 7e9);
  const CompressionTable long_table = compression_of_csv(
      parse_csv("model,corpus,bpb,ratio,family,parameters\nm,cc,0.8,10,f,1e6\nm,py,0.4,20,f,1e6\n", "c"));
  EXPECT_EQ(long_table.find("m", "py")->bits_per_byte, 0.4);
  EXPECT_EQ(long_table.find("m", "py")->ratio, 20.0);
  EXPECT_EQ(compression_of_csv(parse_csv("model,bpb_x\na,2\n", "c")).rows[0].ratio, 4.0);
  EXPECT_EQ(compression_of_csv(parse_csv("model,ratio_x\na,2\n", "c")).rows[0].bits_per_byte, 4.0);
  EXPECT_EQ(long_table.models.at("m").family, "f");
  EXPECT_EQ(long_table.models.at("m").parameters, 1e6);
}

TEST(CompressionTable, RefusesTablesWithoutWhatItTakes) {
  EXPECT_EQ(refusal("name,bpc_cc\nm,1\n"), "c.csv has no column \"model\"");
  EXPECT_EQ(refusal("model,cc\nm,1\n"), "c.csv has no column of compression");
  EXPECT_EQ(refusal("model,bpc_cc\nm,1\nm,2\n"), "c.csv, line 3: model m is there twice");
}

TEST(CompressionTable, ReadsFamiliesAndSizesInNames) {
  EXPECT_EQ(family_in_name("Llama-2-7b"), "llama");
  EXPECT_EQ(family_in_name("qwen1.5-32b"), "qwen");
  EXPECT_EQ(family_in_name("7b"), "7b");
  EXPECT_EQ(parameters_in_name("Deepseek-coder-1.3b"), 1.3e9);
  EXPECT_EQ(parameters_in_name("pythia-160M"), 1.6e8);
  EXPECT_EQ(parameters_in_name("Llama 2 (7B)"), 7e9);
  for (const char* name : {"Mixtral-8x7b", "m-sp-3000", "gpt2", "b", "Mixtral-8x22B-v0.1", "StarcoderBase"})
    EXPECT_FALSE(parameters_in_name(name)) << name;
}

TEST(CompressionTable, RefusesBitsThatAreNoCompression) {
  EXPECT_EQ(refusal("model,bpb_x\na,1\nb,-2\n"), "c.csv, line 3, column bpb_x: -2 is no compression, which is above 0");
  EXPECT_EQ(refusal("model,corpus,ratio\na,x,0\n"),
            "c.csv, line 2, column ratio: 0 is no compression, which is above 0");
}

TEST(CompressionTable, TakesNamesThatLookLikeSizesButAreNone) {
  for (const std::string& name : std::vector<std::string>{".b", "x-.b", "0b", "..m", std::string(400, '9') + "b"})
    EXPECT_FALSE(parameters_in_name(name)) << name;
}

}  // namespace
}  // namespace lmbits
