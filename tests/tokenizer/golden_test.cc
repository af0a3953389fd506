// Published vocabularies against published ids; the files lie in the shared data.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <unordered_map>

#include "src/core/file.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lmbits {
namespace {

// ---- GPT-2's ranks as a tokenizer.json: merges are what is left of a piece when only lower ranks merge ----

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<std::uint32_t>(kDigits.find(c));
    n_bits += 6;
    if (n_bits >= 8) bytes += static_cast<char>(bits >> (n_bits -= 8) & 255);
  }
  return bytes;
}

std::vector<std::string> parts_of(const std::string& piece, const std::unordered_map<std::string, int>& ranks) {
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  while (parts.size() > 2) {
    std::size_t best = 0;
    int best_rank = ranks.at(piece);
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + parts[i + 1]);
      if (found == ranks.end() || found->second >= best_rank) continue;
      best = i;
      best_rank = found->second;
    }
    if (best_rank == ranks.at(piece)) throw std::logic_error("no merges make " + piece);
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return parts;
}

std::string json_of_ranks(const std::string& file, bool merges_are_pairs) {
  std::istringstream lines(file);
  std::unordered_map<std::string, int> ranks;
  std::vector<std::string> pieces;
  for (std::string piece, rank; lines >> piece >> rank;) {
    pieces.push_back(from_base64(piece));
    ranks[pieces.back()] = std::stoi(rank);
  }
  nlohmann::json vocab, merges = nlohmann::json::array();
  for (const std::string& piece : pieces) {
    vocab[to_byte_alphabet(piece)] = ranks[piece];
    if (piece.size() == 1) continue;
    const auto parts = parts_of(piece, ranks);
    const std::string left = to_byte_alphabet(parts[0]), right = to_byte_alphabet(parts[1]);
    merges.push_back(merges_are_pairs ? nlohmann::json{left, right} : nlohmann::json(left + " " + right));
  }
  return nlohmann::json{{"added_tokens", nlohmann::json::array()},
                        {"normalizer", nullptr},
                        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                        {"decoder", {{"type", "ByteLevel"}}},
                        {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}}
      .dump();
}

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
TEST_F(GoldenTokenizer, Gpt2FromATokenizerJson) {
  for (const bool merges_are_pairs : {false, true}) {
    const std::string json = json_of_ranks(read_file(folder_ + "gpt2.tiktoken"), merges_are_pairs);
    expect_golden(*make_tokenizer({.kind = "tokenizer.json", .bytes = json, .pattern = ""}, "gpt2.json"),
                  "ggml-vocab-gpt-2");
  }
}
TEST_F(GoldenTokenizer, Gpt2FromAGgufFile) {
  expect_golden(*open("gguf", "ggml-vocab-gpt-2.gguf"), "ggml-vocab-gpt-2");
}
TEST_F(GoldenTokenizer, LlamaFromAGgufFile) {
  expect_golden(*open("gguf", "ggml-vocab-llama-spm.gguf"), "ggml-vocab-llama-spm");
}

}  // namespace
}  // namespace lmbits
