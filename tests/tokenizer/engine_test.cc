// The parts of the tokenizers against slow and obvious ones.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdio>
#include <ctime>
#include <numeric>
#include <random>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/merge_table.h"
#include "src/tokenizer/pattern.h"
#include "src/tokenizer/pre_tokenizer.h"
#include "src/tokenizer/splitter.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

// The definition: again and again the leftmost pair of the lowest rank.
std::vector<std::uint32_t> merged_slowly(std::vector<std::uint32_t> symbols, const std::vector<MergeRule>& rules) {
  while (true) {
    const MergeRule* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (const MergeRule& rule : rules) {
        if (rule.left != symbols[i] || rule.right != symbols[i + 1] || (best && rule.rank >= best->rank)) continue;
        best = &rule;
        place = i;
      }
    }
    if (!best) return symbols;
    symbols[place] = best->result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(MergeTable, MergesAsItsDefinitionSaysOnBothSidesOfTheHeap) {
  std::mt19937 rng(3);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<MergeRule> rules;
    for (std::uint32_t result = 4; result < 24; ++result) {
      const auto left = static_cast<std::uint32_t>(rng() % result), right = static_cast<std::uint32_t>(rng() % result);
      const bool known =
          std::ranges::any_of(rules, [&](const MergeRule& r) { return r.left == left && r.right == right; });
      if (!known)
        rules.push_back({left, right, result, trial % 2 ? result : result / 3});  // with and without equal ranks
    }
    const MergeTable table(rules);
    MergeWorkspace workspace;
    for (const std::size_t n : {0, 1, 2, 5, 95, 96, 97, 98, 180}) {
      std::vector<std::uint32_t> symbols(n);
      for (auto& symbol : symbols) symbol = static_cast<std::uint32_t>(rng() % 4);
      const auto expected = merged_slowly(symbols, rules);
      workspace.symbols = symbols;
      table.merge(workspace);
      symbols = workspace.symbols;
      ASSERT_EQ(symbols, expected) << "trial " << trial << ", " << n << " symbols";
    }
  }
}

std::string random_bytes(std::mt19937& rng, std::size_t n) {
  const std::vector<std::string> parts = {"a",
                                          "Zb",
                                          "'s",
                                          "'LL",
                                          "'\xC5\xBF",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\r\n",
                                          "\t",
                                          "12345",
                                          "!?",
                                          "/",
                                          "\xC3\xA9",
                                          "\xCC\x81",
                                          "\xE4\xBD\xA0",
                                          "\xF0\x9F\x98\x80",
                                          "\xE2\x80\xA8",
                                          "\xC7\x85",
                                          "\xFF",
                                          "\xE2\x96",
                                          std::string(1, '\0')};
  std::string text;
  while (text.size() < n) text += parts[rng() % parts.size()];
  return text;
}

std::vector<std::uint32_t> all_lengths(const Splitter& splitter, std::string_view text, std::size_t batch) {
  std::vector<std::uint32_t> all, some(batch);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = splitter.split(text, at, some);
    if (n == 0) break;
    for (std::size_t i = 0; i < n; ++i) at += some[i];
    all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return all;
}

TEST(Splitter, ByHandCutsWherePcre2DoesAndCoversEveryByte) {
  std::mt19937 rng(4);
  for (const char* name : {"gpt2", "r50k", "cl100k", "llama3", "qwen2", "o200k"}) {
    const auto by_hand = make_named_splitter(name);
    const PatternSplitter by_pattern(splitter_pattern(name), RegexDialect::kRust);
    for (int trial = 0; trial < 300; ++trial) {
      const std::string text = random_bytes(rng, 1 + rng() % (trial % 4 ? 60 : 400));
      const auto lengths = all_lengths(*by_hand, text, 64);
      ASSERT_EQ(std::accumulate(lengths.begin(), lengths.end(), std::size_t{0}), text.size()) << name;
      ASSERT_EQ(lengths, all_lengths(*by_hand, text, 2)) << name;
      const bool is_utf8 = text.find('\xFF') == std::string::npos && text.find("\xE2\x96") == std::string::npos;
      if (is_utf8) {
        ASSERT_EQ(lengths, all_lengths(by_pattern, text, 64)) << name << ": " << Json(text).dump();
      }
    }
  }
}

TEST(Splitter, PublishedPatternsAreThoseByHandInBothDialects) {
  const auto is_by_hand = [](const std::string& pattern, RegexDialect dialect) {
    return dynamic_cast<const PatternSplitter*>(make_pattern_splitter(pattern, dialect).get()) == nullptr;
  };
  for (const char* name : {"gpt2", "r50k", "p50k", "llama3", "qwen2", "o200k", "cl100k"}) {
    EXPECT_TRUE(is_by_hand(splitter_pattern(name), RegexDialect::kRust)) << name;
    // tiktoken's cl100k has {1,3}+, which Oniguruma takes for a repeated repetition.
    EXPECT_EQ(is_by_hand(splitter_pattern(name), RegexDialect::kOniguruma), name != std::string_view("cl100k")) << name;
  }
}

// A byte-level tokenizer.json of all bytes and some merges.
std::string byte_level_json(const Json& changes = Json::object()) {
  Json vocab = Json::object(), merges = Json::array();
  for (int byte = 0; byte < 256; ++byte) vocab[to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  int next = 256;
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {"t", "h"}, {"th", "e"}, {" ", "the"}, {"a", "a"}, {"aa", "aa"}, {"\xC3", "\xA9"}, {"i", "n"}, {" ", "a"}}) {
    vocab[to_byte_alphabet(left + right)] = next++;
    merges.push_back(to_byte_alphabet(left) + " " + to_byte_alphabet(right));
  }
  Json json = {{"added_tokens", Json::array({{{"id", next}, {"content", "<|end|>"}, {"special", true}}})},
               {"normalizer", nullptr},
               {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  json.merge_patch(changes);
  return json.dump();
}

std::int64_t total(const Tokens& tokens) {
  return std::accumulate(tokens.n_bytes.begin(), tokens.n_bytes.end(), std::int64_t{0});
}

TEST(TokenizerJson, AnyBytesComeBackAndTheirTokensAddUp) {
  const auto tokenizer = read_tokenizer_json(byte_level_json());
  std::mt19937 rng(5);
  for (int trial = 0; trial < 300; ++trial) {
    std::string text = random_bytes(rng, rng() % 80);
    if (trial % 3 == 0) text.insert(rng() % (text.size() + 1), "<|end|>");
    const Tokens tokens = tokenizer->encode(text);
    ASSERT_TRUE(tokens.lossless);
    ASSERT_EQ(tokenizer->decode(tokens.ids), text);
    ASSERT_EQ(total(tokens), static_cast<std::int64_t>(text.size()));
  }
}

TEST(TokenizerJson, ANormalisedTextIsCalledLossyAndItsBytesStillAddUp) {
  const auto tokenizer = read_tokenizer_json(byte_level_json(
      {{"normalizer",
        {{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "NFC"}}, {{"type", "Lowercase"}}})}}}}));
  const std::string text = "The e\xCC\x81nd";
  const Tokens tokens = tokenizer->encode(text);
  EXPECT_FALSE(tokens.lossless);
  EXPECT_EQ(tokenizer->decode(tokens.ids), "the \xC3\xA9nd");
  EXPECT_EQ(total(tokens), static_cast<std::int64_t>(text.size()));
  EXPECT_TRUE(tokenizer->encode("the end").lossless);
}

TEST(TokenizerJson, WhatIsNotReadIsRefusedByName) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"normalizer", {{"type", "BertNormalizer"}}}}, "BertNormalizer"},
      {{{"pre_tokenizer", {{"type", "UnicodeScripts"}}}}, "UnicodeScripts"},
      {{{"model", {{"type", "WordPiece"}}}}, "WordPiece"},
      {{{"model", {{"dropout", 0.1}}}}, "dropout"},
      {{{"decoder", {{"type", "CTC"}}}}, "CTC"},
      {{{"post_processor", {{"type", "Odd"}}}}, "Odd"}};
  for (const auto& [changes, name] : cases) {
    try {
      read_tokenizer_json(byte_level_json(changes));
      ADD_FAILURE() << name << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
      EXPECT_FALSE(e.hint().empty());
    }
  }
}

TEST(MergeTable, AMegabyteWithoutASpaceTakesStepsInProportion) {
  const std::vector<MergeRule> rules = {{0, 0, 2, 0}, {2, 2, 3, 1}, {0, 1, 4, 2}, {3, 3, 5, 3}, {1, 1, 6, 4}};
  const MergeTable table(rules);
  std::mt19937 rng(6);
  const auto steps = [&](std::size_t n) {
    MergeWorkspace workspace;
    workspace.symbols.resize(n);
    for (auto& symbol : workspace.symbols) symbol = static_cast<std::uint32_t>(rng() % 2);
    table.merge(workspace);
    return workspace.n_steps;
  };
  const std::uint64_t small = steps(1 << 14), large = steps(1 << 20);
  EXPECT_LT(large, 80 * small);  // 64 times the symbols
  EXPECT_LT(large, std::uint64_t{8} << 20);
}

TEST(TokenizerJson, AMegabyteWithoutASpaceTakesNoQuadraticTime) {
  const auto tokenizer = read_tokenizer_json(byte_level_json());
  const auto cpu_seconds = [&](std::size_t n, std::string_view letters) {
    std::mt19937 rng(6);
    std::string text(n, 'a');
    for (char& c : text) c = letters[rng() % letters.size()];
    const std::clock_t begin = std::clock();
    EXPECT_TRUE(tokenizer->encode(text).lossless);
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  for (const char* letters : {"a", "aethin"}) {  // without a place to cut, and with some
    const double small = cpu_seconds(1 << 17, letters), large = cpu_seconds(1 << 20, letters);
    EXPECT_LT(large, 32 * std::max(small, 0.002)) << small << " s for 128 KiB, " << large << " s for 1 MiB";
  }
}

TEST(TokenizerJson, ThreadsDoNotChangeIds) {
  const auto tokenizer = read_tokenizer_json(byte_level_json());
  std::mt19937 rng(7);
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) texts.push_back(random_bytes(rng, 2000));
  std::vector<std::vector<std::int32_t>> alone, together(texts.size());
  for (const std::string& text : texts) alone.push_back(tokenizer->encode(text).ids);
  parallel_for(static_cast<std::int64_t>(texts.size()), 4, [&](std::int64_t i) {
    together[static_cast<std::size_t>(i)] = tokenizer->encode(texts[static_cast<std::size_t>(i)]).ids;
  });
  EXPECT_EQ(together, alone);
}

TEST(TokenizerReaders, ADamagedFileIsAnErrorOrATokenizerButNeverACrash) {
  const std::string json = byte_level_json();
  std::string ranks;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto b = static_cast<std::size_t>(byte);
    ranks += {digits[b >> 2], digits[(b & 3) << 4], '=', '='};
    ranks += " " + std::to_string(byte) + "\n";
  }
  EXPECT_EQ(read_tiktoken(ranks, "gpt2")->encode("ab").ids, (std::vector<std::int32_t>{'a', 'b'}));
  const auto whole = read_tiktoken(ranks + "aGF0 256\n", "gpt2");  // "hat", which no two pieces make
  EXPECT_EQ(whole->encode("hat").ids, std::vector<std::int32_t>{256});
  EXPECT_EQ(whole->encode("hats").ids, (std::vector<std::int32_t>{'h', 'a', 't', 's'}));
  std::mt19937 rng(8);
  for (int trial = 0; trial < 200; ++trial) {
    for (const bool is_json : {true, false}) {
      std::string damaged = is_json ? json : ranks;
      if (trial % 2) damaged.resize(rng() % damaged.size());
      if (!damaged.empty()) damaged[rng() % damaged.size()] ^= static_cast<char>(1 << rng() % 8);
      try {
        (is_json ? read_tokenizer_json(damaged) : read_tiktoken(damaged, "cl100k"))->encode("the \xFF caf\xC3\xA9");
      } catch (const Error&) {
      }
    }
  }
  EXPECT_THROW(read_gguf_vocabulary("GGUF\3\0\0\0"), Error);
}

// Alternating marks of two classes: utf8proc alone takes a step for each pair of them.
TEST(TokenizerJson, AMegabyteOfMarksIsNormalisedInNoQuadraticTime) {
  const auto tokenizer = read_tokenizer_json(byte_level_json({{"normalizer", {{"type", "NFC"}}}}));
  const auto cpu_seconds = [&](int n) {
    std::string text = "q";
    for (int i = 0; i < n; ++i) text += "\xCC\x87\xCC\xA3";
    const std::clock_t begin = std::clock();
    std::string expected = "q";
    for (int i = 0; i < n; ++i) expected += "\xCC\xA3";
    for (int i = 0; i < n; ++i) expected += "\xCC\x87";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text).ids), expected);
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  const double small = cpu_seconds(1 << 12), large = cpu_seconds(1 << 16);
  EXPECT_LT(large, 64 * std::max(small, 0.004)) << small << " s for 4096 pairs, " << large << " s for 65536";
}

// Every model without a place to cut: 1 MiB costs about 8 times what 128 KiB do.
TEST(AnyKind, AMegabyteWithoutASpaceTakesNoQuadraticTime) {
  const std::string meta = "\xE2\x96\x81";
  Json unigram = Json::array(
      {{"<unk>", 0.0}, {meta, -3.0}, {"a", -2.0}, {"aa", -3.0}, {"aaaaaaaa", -5.0}, {"b", -4.0}, {"ab", -4.5}});
  Json words = {{"<unk>", 0}, {"a", 1}},
       characters = {{"<unk>", 0}, {meta, 1}, {"a", 2}, {"b", 3}, {"aa", 4}, {"aaaa", 5}, {"ab", 6}};
  const Json merges = Json::array({"a a", "aa aa", "a b"});
  const std::vector<std::pair<std::string, Json>> kinds = {
      {"Unigram",
       {{"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", unigram}}},
        {"pre_tokenizer", {{"type", "Metaspace"}}}}},
      {"WordLevel",
       {{"model", {{"type", "WordLevel"}, {"unk_token", "<unk>"}, {"vocab", words}}},
        {"pre_tokenizer", {{"type", "Whitespace"}}}}},
      {"BPE",
       {{"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", characters}, {"merges", merges}}},
        {"pre_tokenizer", nullptr}}},
      {"added",
       {{"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", characters}, {"merges", merges}}},
        {"added_tokens", Json::array({{{"id", 7}, {"content", std::string(60, 'a') + "c"}, {"normalized", true}},
                                      {{"id", 8}, {"content", std::string(59, 'a') + "c"}, {"normalized", false}},
                                      {{"id", 9}, {"content", "b"}, {"single_word", true}, {"lstrip", true}}})}}}};
  for (const auto& [name, json] : kinds) {
    const auto tokenizer = read_tokenizer_json(json.dump());
    const auto cpu_seconds = [&](std::size_t n) {
      std::string text(n, 'a');
      for (std::size_t i = 5; i < n; i += 97) text[i] = 'b';
      const std::clock_t begin = std::clock();
      EXPECT_FALSE(tokenizer->encode(text).ids.empty());
      return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    };
    const double small = cpu_seconds(1 << 17), large = cpu_seconds(1 << 20);
    EXPECT_LT(large, 32 * std::max(small, 0.002)) << name << ": " << small << " s, " << large << " s";
  }
}

TEST(AnyKind, ATextThat32BitsDoNotReachOverIsRefusedAtOnce) {
  const std::size_t n = std::size_t{1} << 31;
  void* const pages = mmap(nullptr, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) GTEST_SKIP() << "2 GiB of addresses are not to be had";
  const auto tokenizer = read_tokenizer_json(byte_level_json({{"normalizer", {{"type", "Lowercase"}}}}));
  EXPECT_THROW(tokenizer->encode({static_cast<const char*>(pages), n}), Error);
  munmap(pages, n);
}

TEST(TokenizerJson, WhatNestsDeepIsDamageAndNoStackOverflow) {
  const std::string deep = R"({"normalizer": )" + std::string(400000, '[') + std::string(400000, ']') + "}";
  EXPECT_THROW(read_tokenizer_json(deep), Error);
}

TEST(TokenizerJson, ACharacterThatNothingStandsForIsAFailureAsInTheLibrary) {
  const Json vocab = {{"a", 0}, {"b", 1}};
  const Json bpe = {{"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  EXPECT_EQ(read_tokenizer_json(bpe.dump())->encode("ab").ids, (std::vector<std::int32_t>{0, 1}));
  EXPECT_THROW(read_tokenizer_json(bpe.dump())->encode("ac"), Error);
  const Json unigram = {{"model", {{"type", "Unigram"}, {"unk_id", nullptr}, {"vocab", Json::array({{"a", -1.0}})}}}};
  EXPECT_THROW(read_tokenizer_json(unigram.dump())->encode("ac"), Error);
  const Json words = {{"model", {{"type", "WordLevel"}, {"unk_token", "?"}, {"vocab", vocab}}}};
  EXPECT_THROW(read_tokenizer_json(words.dump())->encode("c"), Error);
}

// The library divides a number's digits by a power of ten; of 17 digits the two roundings miss the last bit, and a tie is none.
TEST(TokenizerJson, UnigramScoresAreTheNumbersThatTheLibraryReads) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"-12.864072317121257", "-12.864072317121256"},
                                                                  {"-11.692844665672597", "-11.692844665672595"},
                                                                  {"-7.9360912192871735", "-7.936091219287173"}};
  for (const auto& [both, first] : cases) {
    const std::string json = R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["xy", )" + both +
                             R"(], ["x", )" + first + R"(], ["y", 0.0]]}})";
    EXPECT_EQ(read_tokenizer_json(json)->encode("xy").ids, std::vector<std::int32_t>{1}) << both;
  }
}

// As the library has it: the unknown piece's own text is that piece, and joins unknown characters beside it.
TEST(TokenizerJson, TheTextOfAUnigramsUnknownPieceIsThatPiece) {
  Json vocab = Json::array({{"<unk>", 0.0}, {"a", -1.0}});
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab.push_back({name, -20.0});
  }
  Json json = {{"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocab}, {"byte_fallback", true}}}};
  EXPECT_EQ(read_tokenizer_json(json.dump())->encode("a<unk>a").ids, (std::vector<std::int32_t>{1, 0, 1}));
  EXPECT_EQ(read_tokenizer_json(json.dump())->encode("?").ids, (std::vector<std::int32_t>{2 + '?'}));
  json["model"]["byte_fallback"] = false;
  EXPECT_EQ(read_tokenizer_json(json.dump())->encode("?<unk>!a").ids, (std::vector<std::int32_t>{0, 1}));
}

TEST(TokenizerJson, WhiteSpaceThatATokenTookIsFoundAgainAndTheTextIsLossy) {
  const Json changes = {{"added_tokens", Json::array({{{"id", 264}, {"content", "<r>"}, {"rstrip", true}},
                                                      {{"id", 265}, {"content", "  "}}})}};
  const Tokens tokens = read_tokenizer_json(byte_level_json(changes))->encode("<r>   a");
  EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{264, 265, 263}));  // " a" from behind the second token's two spaces
  EXPECT_FALSE(tokens.lossless);
  EXPECT_EQ(total(tokens), 7);
  for (const std::int32_t n : tokens.n_bytes) EXPECT_GE(n, 0);
}

TEST(TokenizerJson, OnlyTheSourcesBeginningIsFirstForMetaspace) {
  const Json json = {
      {"normalizer", {{"type", "Strip"}}},
      {"pre_tokenizer", {{"type", "Metaspace"}, {"prepend_scheme", "first"}}},
      {"model", {{"type", "BPE"}, {"vocab", {{"a", 0}, {"\xE2\x96\x81", 1}}}, {"merges", Json::array()}}}};
  const auto tokenizer = read_tokenizer_json(json.dump());
  EXPECT_EQ(tokenizer->encode("a").ids, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(tokenizer->encode(" a").ids, std::vector<std::int32_t>{0});  // the library counts places of the source
}

TEST(TokenizerJson, PartsThatDoNotGoTogetherAreRefusedByName) {
  const Json bytes = {{"type", "ByteLevel"}}, token = {{"SpecialToken", {{"id", "<|end|>"}}}},
             text = {{"Sequence", {{"id", "A"}}}};
  const Json tokens = {{"<|end|>", {{"ids", Json::array({264})}}}};
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({bytes, bytes})}}}}, "ByteLevel"},
      {{{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({bytes, {{"type", "Metaspace"}}})}}}},
       "Metaspace"},
      {{{"post_processor",
         {{"type", "TemplateProcessing"}, {"single", Json::array({token, token, text})}, {"special_tokens", tokens}}}},
       "several tokens"},
      {{{"model", {{"byte_fallback", true}, {"vocab", {{"q", nullptr}}}}}}, "byte 113"},
      {{{"normalizer", {{"type", "Strip"}}},
        {"added_tokens", Json::array({{{"id", 264}, {"content", " "}, {"normalized", true}}})}},
       "is empty"}};
  for (const auto& [changes, name] : cases) {
    try {
      read_tokenizer_json(byte_level_json(changes));
      ADD_FAILURE() << name << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUnsupported) << e.what();
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
      EXPECT_FALSE(e.hint().empty());
    }
  }
}

TEST(Tiktoken, ARankOrAPieceThatComesTwiceIsDamage) {
  std::string ranks;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto b = static_cast<std::size_t>(byte);
    ranks += {digits[b >> 2], digits[(b & 3) << 4], '=', '='};
    ranks += " " + std::to_string(byte) + "\n";
  }
  EXPECT_NO_THROW(read_tiktoken(ranks + "aGF0 256\n", "gpt2"));
  for (const char* line : {"aGF0 7\n", "YQ== 256\n", " 256\n"})
    EXPECT_THROW(read_tiktoken(ranks + line, "gpt2"), Error) << line;
}

}  // namespace
}  // namespace lmbits
