// Published vocabularies against published ids; the files lie in the shared data.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <sstream>

#include "src/core/file.h"
#include "src/tokenizer/make_tokenizer.h"

namespace lmbits {
namespace {

class GoldenTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    const char* const shared = std::getenv("LMBITS_SHARED");
    if (!shared) GTEST_SKIP() << "LMBITS_SHARED is not set: no golden vectors to read";
    folder_ = std::string(shared) + "/data/tokenizers/";
  }

  std::unique_ptr<Tokenizer> open(const std::string& kind, const std::string& file,
                                  const std::string& pattern = "") const {
    return make_tokenizer({.kind = kind, .bytes = read_file(folder_ + file), .pattern = pattern}, file);
  }

  std::vector<std::string> texts(const std::string& vocabulary) const {
    const std::string all = read_file(folder_ + vocabulary + ".gguf.inp");
    const std::string mark = "\n__ggml_vocab_test__\n";
    std::vector<std::string> parts;
    std::size_t at = 0;
    for (std::size_t end; (end = all.find(mark, at)) != std::string::npos; at = end + mark.size())
      parts.push_back(all.substr(at, end - at));
    parts.push_back(all.substr(at));
    return parts;
  }

  std::vector<std::vector<std::int32_t>> ids(const std::string& vocabulary) const {
    std::istringstream lines(read_file(folder_ + vocabulary + ".gguf.out"));
    std::vector<std::vector<std::int32_t>> all;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream numbers(line);
      all.emplace_back();
      for (std::int32_t id; numbers >> id;) all.back().push_back(id);
    }
    return all;
  }

  void expect_golden(const Tokenizer& tokenizer, const std::string& vocabulary) const {
    const auto all_texts = texts(vocabulary);
    const auto all_ids = ids(vocabulary);
    ASSERT_EQ(all_texts.size(), 47u);
    for (std::size_t i = 0; i < all_texts.size(); ++i) {
      const Tokens tokens = tokenizer.encode(all_texts[i]);
      EXPECT_EQ(tokens.ids, i < all_ids.size() ? all_ids[i] : std::vector<std::int32_t>())
          << "text " << i << ": " << all_texts[i];
      EXPECT_TRUE(tokens.lossless) << i;
      EXPECT_EQ(std::accumulate(tokens.n_bytes.begin(), tokens.n_bytes.end(), std::size_t{0}), all_texts[i].size())
          << i;
      EXPECT_EQ(tokenizer.decode(tokens.ids), all_texts[i]);
    }
  }

  std::string folder_;
};

TEST_F(GoldenTokenizer, Gpt2FromTiktokensRanks) {
  expect_golden(*open("tiktoken", "gpt2.tiktoken", "gpt2"), "ggml-vocab-gpt-2");
}
TEST_F(GoldenTokenizer, Gpt2ThroughPcre2) {
  // A spelling that no hand-written splitter has.
  expect_golden(*open("tiktoken", "gpt2.tiktoken",
                      R"(()'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
                "ggml-vocab-gpt-2");
}
TEST_F(GoldenTokenizer, Gpt2FromAGgufFile) {
  expect_golden(*open("gguf", "ggml-vocab-gpt-2.gguf"), "ggml-vocab-gpt-2");
}
TEST_F(GoldenTokenizer, LlamaFromAGgufFile) {
  expect_golden(*open("gguf", "ggml-vocab-llama-spm.gguf"), "ggml-vocab-llama-spm");
}

}  // namespace
}  // namespace lmbits
