// The parts of a tokenizer.json one by one: what each does to a text. Expected values are those of the tokenizers library.
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pattern.h"
#include "src/tokenizer/pre_tokenizer.h"

namespace lmbits {
namespace {

using Strings = std::vector<std::string>;

std::string normalised(const Json& json, const std::string& text) {
  AlignedText aligned = AlignedText::of(text);
  for (const auto& normalizer : read_normalizers(json)) {
    const bool may_change = normalizer->may_change(aligned.text);
    const std::string before = aligned.text;
    aligned = normalizer->apply(std::move(aligned));
    EXPECT_TRUE(may_change || aligned.text == before) << json.dump();
  }
  EXPECT_EQ(aligned.origin.size(), aligned.text.size() + 1);
  EXPECT_TRUE(std::ranges::is_sorted(aligned.origin)) << json.dump();
  EXPECT_LE(aligned.origin.back(), text.size());
  return aligned.text;
}

TEST(Normalizer, EachKindDoesWhatItsNameSays) {
  const std::vector<std::tuple<Json, std::string, std::string>> cases = {
      {{{"type", "NFC"}}, "e\xCC\x81 \xE1\x84\x80\xE1\x85\xA1", "\xC3\xA9 \xEA\xB0\x80"},
      {{{"type", "NFC"}}, "a\xC3\xA9\xEF\xAC\x81", "a\xC3\xA9\xEF\xAC\x81"},
      {{{"type", "NFC"}}, "q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87"},  // marks in canonical order
      {{{"type", "NFD"}}, "\xC3\xA9", "e\xCC\x81"},
      {{{"type", "NFKC"}}, "\xEF\xAC\x81 \xC2\xA8", "fi  \xCC\x88"},
      {{{"type", "NFKC"}}, "\xEF\xBD\xB6\xEF\xBE\x9E", "\xE3\x82\xAC"},  // half-width ka and voiced mark
      {{{"type", "NFKD"}},
       "\xC3\xA9\xEF\xAC\x81",
       "e\xCC\x81"
       "fi"},
      {{{"type", "NFC"}},
       "\xFF"
       "e\xCC\x81\xC3",
       "\xFF\xC3\xA9\xC3"},  // invalid bytes pass
      {{{"type", "NFC"}},    // newer than Unicode 9.0, so left alone
       "\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0",
       "\xF0\x91\xA4\xB5\xF0\x91\xA4\xB0"},
      {{{"type", "NFD"}}, "\xF0\x91\xA4\xB8", "\xF0\x91\xA4\xB8"},
      {{{"type", "Lowercase"}}, "\xC3\x89T \xC4\xB0", "\xC3\xA9t i\xCC\x87"},
      {{{"type", "Prepend"}, {"prepend", "\xE2\x96\x81"}},
       "a",
       "\xE2\x96\x81"
       "a"},
      {{{"type", "Prepend"}, {"prepend", "\xE2\x96\x81"}}, "", ""},
      {{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "_"}}, " a  b", "_a__b"},
      {{{"type", "Replace"}, {"pattern", {{"Regex", " +"}}}, {"content", "_"}}, " a  b", "_a_b"},
      {{{"type", "Strip"}}, " \t a b \xE3\x80\x80", "a b"},
      {{{"type", "Strip"}, {"strip_right", false}}, "  a ", "a "},
      {{{"type", "Strip"}}, "  ", ""},
      {{{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "NFD"}}, {{"type", "Lowercase"}}})}},
       "\xC3\x89",
       "e\xCC\x81"}};
  for (const auto& [json, text, expected] : cases) EXPECT_EQ(normalised(json, text), expected) << json.dump() << text;
}

TEST(Normalizer, NfcOfAPartIsNfcOfTheWhole) {
  std::mt19937 rng(1);
  const Strings parts = {"e", "\xCC\x81",     "\xCC\xA3", "\xC3\xAA", "\xE1\x84\x80", "\xE1\x85\xA1", "\xE1\x86\xA8",
                         " ", "\xEA\xB0\x80", "\xCE\x87", "\xFF",     "\xE1\xB7\xBA", "\xE4\xBD\xA0"};
  const Json nfc = {{"type", "NFC"}}, nfd = {{"type", "NFD"}};
  for (int trial = 0; trial < 3000; ++trial) {
    std::string text;
    for (std::size_t n = rng() % 12; n > 0; --n) text += parts[rng() % parts.size()];
    const std::string once = normalised(nfc, text);
    ASSERT_EQ(normalised(nfc, once), once) << Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
    ASSERT_EQ(normalised(nfc, normalised(nfd, text)), once)
        << Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  }
}

Strings words(const Json& json, const std::string& text, bool at_start = true) {
  CutText cut{AlignedText::of(text), {{0, text.size()}}, at_start};
  for (const auto& step : read_pre_tokenizers(json).steps) {
    step->apply(cut);
    std::erase_if(cut.words, [](const PreToken& word) { return word.begin == word.end; });
  }
  Strings all;
  for (const PreToken& word : cut.words) all.push_back(cut.aligned.text.substr(word.begin, word.end - word.begin));
  return all;
}

Json split(const std::string& regex, const std::string& behaviour, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", behaviour}, {"invert", invert}};
}

TEST(PreTokenizer, EachKindCutsWhereItsNameSays) {
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const std::string meta = "\xE2\x96\x81";
  const std::vector<std::tuple<Json, std::string, Strings>> cases = {
      {bytes, "Hello  you're 12!\n\nx", {"Hello", " ", " you", "'re", " 12", "!", "\n", "\n", "x"}},
      {{{"type", "ByteLevel"}, {"add_prefix_space", true}}, "a b", {" a", " b"}},
      {split("-", "Removed"), "a-b--c", {"a", "b", "c"}},
      {split("-", "Isolated"), "a-b--c", {"a", "-", "b", "-", "-", "c"}},
      {split("-", "MergedWithPrevious"), "a-b--c", {"a-", "b-", "-", "c"}},
      {split("-", "MergedWithNext"), "a-b--c", {"a", "-b", "-", "-c"}},
      {split("-", "Contiguous"), "a-b--c", {"a", "-", "b", "--", "c"}},
      {split("[a-z]", "Removed", true), "a-b--c", {"a", "b", "c"}},
      {{{"type", "Digits"}, {"individual_digits", true}}, "a12\xD9\xA3", {"a", "1", "2", "\xD9\xA3"}},
      {{{"type", "Digits"}, {"individual_digits", false}}, "a12b", {"a", "12", "b"}},
      {{{"type", "Whitespace"}}, "a-b  _c", {"a", "-", "b", "_c"}},
      {{{"type", "WhitespaceSplit"}}, "a-b \n c", {"a-b", "c"}},
      {{{"type", "Punctuation"}}, "a,b!!", {"a", ",", "b", "!", "!"}},
      {{{"type", "Punctuation"}, {"behavior", "Contiguous"}}, "a,b!!", {"a", ",", "b", "!!"}},
      {{{"type", "CharDelimiterSplit"}, {"delimiter", "-"}}, "a-b", {"a", "b"}},
      {{{"type", "Metaspace"}}, "a b", {meta + "a", meta + "b"}},
      {{{"type", "Metaspace"}, {"prepend_scheme", "never"}}, "a b", {"a", meta + "b"}},
      {{{"type", "Metaspace"}, {"split", false}}, "a b", {meta + "a" + meta + "b"}},
      {{{"type", "Sequence"},
        {"pretokenizers", Json::array({{{"type", "Digits"}, {"individual_digits", true}}, bytes})}},
       "x 12",
       {"x", " ", "1", "2"}}};
  for (const auto& [json, text, expected] : cases) EXPECT_EQ(words(json, text), expected) << json.dump() << " " << text;
  EXPECT_EQ(words({{"type", "Metaspace"}, {"prepend_scheme", "first"}}, "a b", false), (Strings{"a", meta + "b"}));
}

Strings found(const std::vector<AddedToken>& tokens, const std::string& text) {
  Strings all;
  AddedTokenFinder(tokens).cut(text, [&](const TextPart& part) {
    all.push_back((part.token ? std::to_string(part.token->id) + ":" : "") +
                  text.substr(part.begin, part.end - part.begin));
  });
  return all;
}

TEST(AddedTokens, FlagsSayWhatIsTakenWithThem) {
  EXPECT_EQ(found({{.id = 1, .content = "<a>"}}, "x <a> y<a>"), (Strings{"x ", "1:<a>", " y", "1:<a>"}));
  EXPECT_EQ(found({{.id = 1, .content = "<a>", .lstrip = true}}, "x \n<a> y"), (Strings{"x", "1: \n<a>", " y"}));
  EXPECT_EQ(found({{.id = 1, .content = "<a>", .rstrip = true}}, "x <a>\xE3\x80\x80 y"),
            (Strings{"x ", "1:<a>\xE3\x80\x80 ", "y"}));
  EXPECT_EQ(found({{.id = 1, .content = "ab", .single_word = true}},
                  "ab cab ab, abc\xC3\xA9"
                  "ab"),
            (Strings{"1:ab", " cab ", "1:ab",
                     ", abc\xC3\xA9"
                     "ab"}));
  EXPECT_EQ(found({{.id = 1, .content = "  "}, {.id = 2, .content = "    "}, {.id = 3, .content = "   "}}, "a       b"),
            (Strings{"a", "2:    ", "3:   ", "b"}));
  EXPECT_EQ(
      found({{.id = 1, .content = "<a>", .rstrip = true}, {.id = 2, .content = "<b>", .lstrip = true}}, "<a>  <b>"),
      (Strings{"1:<a>  ", "2:<b>"}));
  EXPECT_EQ(found({}, "x"), Strings{"x"});
}

TEST(AddedTokens, TheFastSearchFindsWhatTheSlowOneDoes) {
  std::mt19937 rng(2);
  for (int trial = 0; trial < 400; ++trial) {
    std::vector<AddedToken> tokens;
    for (std::uint32_t id = 0; id < 1 + rng() % 9; ++id) {
      std::string content;
      for (std::size_t n = 1 + rng() % 4; n > 0; --n) content += "<|a "[rng() % 4];
      const bool is_new = std::ranges::none_of(tokens, [&](const AddedToken& t) { return t.content == content; });
      if (is_new) tokens.push_back({.id = id, .content = content});
    }
    std::string text;
    for (std::size_t n = rng() % 120; n > 0; --n) text += "<|a b"[rng() % 5];
    Strings expected;
    std::string rest;
    for (std::size_t at = 0; at < text.size();) {
      const AddedToken* best = nullptr;
      for (const AddedToken& token : tokens) {
        if (text.compare(at, token.content.size(), token.content) != 0) continue;
        if (!best || token.content.size() > best->content.size()) best = &token;
      }
      if (!best) {
        rest += text[at++];
        continue;
      }
      if (!rest.empty()) expected.push_back(std::exchange(rest, ""));
      expected.push_back(std::to_string(best->id) + ":" + best->content);
      at += best->content.size();
    }
    if (!rest.empty()) expected.push_back(rest);
    ASSERT_EQ(found(tokens, text), expected) << Json(text).dump();
  }
}

// ---- whole files ----

Json bpe_file(Json changes = Json::object()) {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  int next = 3;
  char name[8];
  for (int byte = 0; byte < 256; ++byte) {
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    vocab[name] = next++;
  }
  for (const char* piece : {"\xE2\x96\x81", "t", "h", "e", "a", "\xE2\x96\x81t", "he", "\xE2\x96\x81the"})
    vocab[piece] = next++;
  Json json = {
      {"added_tokens", Json::array({{{"id", 1}, {"content", "<s>"}, {"special", true}}})},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         Json::array({{{"type", "Prepend"}, {"prepend", "\xE2\x96\x81"}},
                      {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}}})}}},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders", Json::array({{{"type", "Replace"}, {"pattern", {{"String", "\xE2\x96\x81"}}}, {"content", " "}},
                                  {{"type", "ByteFallback"}},
                                  {{"type", "Fuse"}},
                                  {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", Json::array({"\xE2\x96\x81 t", "h e", "\xE2\x96\x81t he"})}}}};
  json.merge_patch(changes);
  return json;
}

TEST(TokenizerJsonFile, ByteFallbackUnknownsAndPrefixes) {
  const auto llama = read_tokenizer_json(bpe_file().dump());
  const auto the = 3 + 256 + 7, meta = 3 + 256, a = 3 + 256 + 4;
  const Tokens tokens = llama->encode("the the");
  EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{the, the}));
  EXPECT_EQ(tokens.n_bytes, (std::vector<std::int32_t>{3, 4}));
  EXPECT_TRUE(tokens.lossless);
  EXPECT_EQ(llama->encode("\xC3\xA9").ids, (std::vector<std::int32_t>{meta, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(llama->encode("a<s>a").ids, (std::vector<std::int32_t>{meta, a, 1, meta, a}));
  EXPECT_TRUE(llama->encode("a \xC3\xA9").lossless);
  EXPECT_FALSE(llama
                   ->encode("a\xE2\x96\x81"
                            "a")
                   .lossless);  // comes back as a space
  const auto unknown = read_tokenizer_json(bpe_file({{"model", {{"byte_fallback", false}}}}).dump());
  EXPECT_EQ(unknown->encode("axyza").ids, (std::vector<std::int32_t>{meta, a, 0, a}));
  EXPECT_FALSE(unknown->encode("axyza").lossless);
  const auto unfused =
      read_tokenizer_json(bpe_file({{"model", {{"byte_fallback", false}, {"fuse_unk", false}}}}).dump());
  EXPECT_EQ(unfused->encode("axya").ids, (std::vector<std::int32_t>{meta, a, 0, 0, a}));
}

TEST(TokenizerJsonFile, IgnoreMergesTakesAWholeWordThatNoMergeMakes) {
  Json changes = {{"model", {{"vocab", {{"\xE2\x96\x81ha", 400}}}}}};
  EXPECT_EQ(read_tokenizer_json(bpe_file(changes).dump())->encode("ha").ids.size(), 3u);
  changes["model"]["ignore_merges"] = true;
  EXPECT_EQ(read_tokenizer_json(bpe_file(changes).dump())->encode("ha").ids, std::vector<std::int32_t>{400});
}

TEST(TokenizerJsonFile, TemplatesTellBosAndEos) {
  const auto item = [](const char* what, const char* id) { return Json{{what, {{"id", id}, {"type_id", 0}}}}; };
  const Json special = {{"<s>", {{"ids", {1}}}}, {"</s>", {{"ids", {2}}}}};
  const auto with = [&](Json single) {
    return read_tokenizer_json(
        bpe_file(
            {{"post_processor", {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", special}}}})
            .dump());
  };
  const auto bos = with(Json::array({item("SpecialToken", "<s>"), item("Sequence", "A")}));
  EXPECT_EQ(bos->bos_id(), 1);
  EXPECT_EQ(bos->eos_id(), std::nullopt);
  const auto both =
      with(Json::array({item("SpecialToken", "<s>"), item("Sequence", "A"), item("SpecialToken", "</s>")}));
  EXPECT_EQ(both->bos_id(), 1);
  EXPECT_EQ(both->eos_id(), 2);
  const Json beyond = {{"<s>", {{"ids", {4000}}}}};
  EXPECT_THROW(read_tokenizer_json(bpe_file({{"post_processor",
                                              {{"type", "TemplateProcessing"},
                                               {"single", Json::array({item("SpecialToken", "<s>")})},
                                               {"special_tokens", beyond}}}})
                                       .dump()),
               Error);
}

Json scored(const std::vector<std::pair<std::string, double>>& pieces) {
  Json list = Json::array();
  for (const auto& [piece, score] : pieces) list.push_back(Json::array({piece, score}));
  return list;
}

TEST(TokenizerJsonFile, UnigramTakesTheBestSumAndWordLevelWholeWords) {
  const Json unigram = {{"pre_tokenizer", {{"type", "Metaspace"}}},
                        {"decoder", {{"type", "Metaspace"}}},
                        {"model",
                         {{"type", "Unigram"},
                          {"unk_id", 0},
                          {"vocab", scored({{"<unk>", 0.0},
                                            {"\xE2\x96\x81", -1.0},
                                            {"a", -2.0},
                                            {"b", -2.0},
                                            {"ab", -3.5},
                                            {"\xE2\x96\x81"
                                             "a",
                                             -3.2}})}}}};
  const auto tokenizer = read_tokenizer_json(unigram.dump());
  EXPECT_EQ(tokenizer->encode("ab").ids, (std::vector<std::int32_t>{1, 4}));  // -4.5 against -5.2 and -5
  EXPECT_EQ(tokenizer->encode("a??b").ids,
            (std::vector<std::int32_t>{1, 2, 0, 3}));  // -3 against -3.2; unknown ones fuse
  EXPECT_TRUE(tokenizer->encode("ab").lossless);
  EXPECT_FALSE(tokenizer->encode("a??b").lossless);
  Json damaged = unigram;
  damaged["model"]["unk_id"] = 6;  // of 6 pieces
  EXPECT_THROW(read_tokenizer_json(damaged.dump()), Error);
  const Json level = {
      {"pre_tokenizer", {{"type", "Whitespace"}}},
      {"model", {{"type", "WordLevel"}, {"unk_token", "?"}, {"vocab", {{"?", 0}, {"ab", 1}, {".", 2}}}}}};
  const Tokens tokens = read_tokenizer_json(level.dump())->encode("ab abc.");
  EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{1, 0, 2}));
  EXPECT_FALSE(tokens.lossless);
  EXPECT_EQ(std::accumulate(tokens.n_bytes.begin(), tokens.n_bytes.end(), 0), 7);
}

// ---- whatever the tokenizer: what it says of itself is true, and what it remembers changes nothing ----

Json gpt2_file(Json changes = Json::object()) {
  Json vocab = Json::object(), merges = Json::array();
  for (int byte = 0; byte < 256; ++byte) vocab[to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  int next = 256;
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{{"t", "h"},
                                                                                    {"th", "e"},
                                                                                    {" ", "the"},
                                                                                    {"\xE4", "\xBD"},
                                                                                    {"\xE4\xBD", "\xA0"},
                                                                                    {"\xA0", "\xE5"},
                                                                                    {"\xE5", "\xA5"},
                                                                                    {"a", "a"},
                                                                                    {"aa", "aa"},
                                                                                    {"'", "s"},
                                                                                    {"\xC3", "\xA9"},
                                                                                    {"1", "2"},
                                                                                    {" ", " "},
                                                                                    {"\r", "\n"}}) {
    vocab[to_byte_alphabet(left + right)] = next++;
    merges.push_back(to_byte_alphabet(left) + " " + to_byte_alphabet(right));
  }
  Json json = {{"added_tokens", Json::array({{{"id", next}, {"content", "<|end|>"}, {"special", true}},
                                             {{"id", next + 1}, {"content", "   "}, {"normalized", true}}})},
               {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  json.merge_patch(changes);
  return json;
}

std::string random_text(std::mt19937& rng) {
  const Strings parts = {"the",
                         " the",
                         "a",
                         "'s",
                         " ",
                         "   ",
                         "\n",
                         "\r\n",
                         "12",
                         "!?",
                         "\xC3\xA9",
                         "e\xCC\x81",
                         "\xE4\xBD\xA0",
                         "\xE5\xA5\xBD",
                         "\xE3\x80\x80",
                         "\xC2\xA0",
                         "<|end|>",
                         "\xE2\x96\x81",
                         "\xFF",
                         "\xE4\xBD",
                         std::string(1, '\0'),
                         "B"};
  std::string text;
  for (std::size_t n = rng() % 60; n > 0; --n) {
    const std::string& part = parts[rng() % parts.size()];
    for (std::size_t k = rng() % 12 ? 1 : rng() % 40; k > 0; --k) text += part;
  }
  return text;
}

std::vector<std::pair<std::string, Json>> many_files() {
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto sequence = [](Json parts) { return Json{{"type", "Sequence"}, {"pretokenizers", std::move(parts)}}; };
  std::vector<std::pair<std::string, Json>> files = {
      {"gpt2", gpt2_file()},
      {"missing bytes", gpt2_file({{"model", {{"vocab", {{"B", nullptr}, {to_byte_alphabet("\xFF"), nullptr}}}}}})},
      {"missing bytes, unk", gpt2_file({{"model",
                                         {{"unk_token", "!"},
                                          {"fuse_unk", true},
                                          {"vocab", {{"B", nullptr}, {to_byte_alphabet("\xFF"), nullptr}}}}}})},
      {"nfc", gpt2_file({{"normalizer", {{"type", "NFC"}}}})},
      {"lowercase", gpt2_file({{"normalizer", {{"type", "Lowercase"}}}})},
      {"prefix", gpt2_file({{"pre_tokenizer", {{"add_prefix_space", true}}}})},
      {"digits", gpt2_file({{"pre_tokenizer",
                             sequence(Json::array({{{"type", "Digits"}, {"individual_digits", true}}, bytes}))}})},
      {"pcre2",
       gpt2_file({{"pre_tokenizer", sequence(Json::array({split(R"(\w+|[^\w\s]+|\s+)", "Isolated"), bytes}))}})},
      {"llama2", bpe_file()},
      {"no bytes", bpe_file({{"model", {{"byte_fallback", false}}}})},
      {"metaspace", bpe_file({{"normalizer", nullptr},
                              {"pre_tokenizer", {{"type", "Metaspace"}}},
                              {"decoder", {{"type", "Metaspace"}}}})}};
  for (const char* name : {"cl100k", "llama3", "qwen2", "o200k"}) {
    files.emplace_back(
        name, gpt2_file({{"pre_tokenizer", sequence(Json::array({split(splitter_pattern(name), "Isolated"), bytes}))},
                         {"model", {{"ignore_merges", true}}}}));
  }
  return files;
}

TEST(AnyTokenizer, LosslessIsTrueWhereItIsSaidAndFalseWhereItIsNot) {
  std::mt19937 rng(3);
  for (const auto& [name, json] : many_files()) {
    const auto tokenizer = read_tokenizer_json(json.dump());
    int n_lossless = 0;
    for (int trial = 0; trial < 400; ++trial) {
      const std::string text = random_text(rng);
      const Tokens tokens = tokenizer->encode(text), again = tokenizer->encode(text);
      const std::string shown = name + ": " + Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
      ASSERT_EQ(tokens.lossless, tokenizer->decode(tokens.ids) == text) << shown;
      ASSERT_EQ(tokens.ids.size(), tokens.n_bytes.size());
      if (!tokens.ids.empty()) {
        ASSERT_EQ(std::accumulate(tokens.n_bytes.begin(), tokens.n_bytes.end(), std::size_t{0}), text.size()) << shown;
      }
      ASSERT_EQ(again.ids, tokens.ids) << shown;
      ASSERT_EQ(again.n_bytes, tokens.n_bytes) << shown;
      ASSERT_EQ(again.lossless, tokens.lossless) << shown;
      const auto fresh = trial % 40 == 0 ? read_tokenizer_json(json.dump()) : nullptr;
      if (fresh) {
        ASSERT_EQ(fresh->encode(text).ids, tokens.ids) << shown;
      }
      n_lossless += tokens.lossless;
    }
    if (name == "gpt2") {
      EXPECT_EQ(n_lossless, 400);
    }
  }
}

// The cache begins with the vocabulary's pieces: with those alone that their bytes become, and as they decode.
TEST(AnyTokenizer, APieceThatNoMergeMakesIsNoTokenOfATextAndAnotherSurfaceIsALoss) {
  Json changes = {{"model", {{"vocab", {{"hat", 400}}}}}};
  EXPECT_EQ(read_tokenizer_json(gpt2_file(changes).dump())->encode("hat").ids,
            (std::vector<std::int32_t>{'h', 'a', 't'}));
  changes["model"]["ignore_merges"] = true;
  EXPECT_EQ(read_tokenizer_json(gpt2_file(changes).dump())->encode("hat").ids, std::vector<std::int32_t>{400});
  const Json other_surface = {{"added_tokens", Json::array({{{"id", 'a'}, {"content", "<a>"}}})}};
  const Tokens tokens = read_tokenizer_json(gpt2_file(other_surface).dump())->encode("a");
  EXPECT_EQ(tokens.ids, std::vector<std::int32_t>{'a'});
  EXPECT_FALSE(tokens.lossless);
}

TEST(AnyTokenizer, BytesCountWithTheTokenThatStandsForThem) {
  const auto nfc = read_tokenizer_json(gpt2_file({{"normalizer", {{"type", "NFC"}}}}).dump());
  EXPECT_EQ(nfc->encode("ae\xCC\x81 the").n_bytes, (std::vector<std::int32_t>{1, 3, 4}));
  const auto without_b = read_tokenizer_json(gpt2_file({{"model", {{"vocab", {{"B", nullptr}}}}}}).dump());
  EXPECT_EQ(without_b->encode("aB the").n_bytes, (std::vector<std::int32_t>{2, 4}));  // with the token before them
  EXPECT_EQ(without_b->encode("BB<|end|>").n_bytes,
            (std::vector<std::int32_t>{9}));  // where there is none, the last one
}

// The definition once more: words by PCRE2, in each the leftmost pair of the lowest rank until none is left.
TEST(AnyTokenizer, ByteLevelIdsAreTheDefinitionsHoweverWordsAreCutAndRemembered) {
  const Json json = gpt2_file({{"added_tokens", Json::array()}});
  const auto tokenizer = read_tokenizer_json(json.dump());
  const PatternSplitter splitter(splitter_pattern("gpt2"), RegexDialect::kRust);
  std::map<std::pair<std::string, std::string>, int> ranks;
  for (const Json& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    ranks[{*from_byte_alphabet(text.substr(0, space)), *from_byte_alphabet(text.substr(space + 1))}] =
        static_cast<int>(ranks.size());
  }
  std::mt19937 rng(4);
  for (int trial = 0; trial < 500; ++trial) {
    std::string text = random_text(rng);
    while (Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore) !=
           Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      text = random_text(rng);  // PCRE2 and the splitter by hand differ on invalid bytes
    std::vector<std::int32_t> expected;
    std::vector<std::uint32_t> lengths(64);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n_words = splitter.split(text, at, lengths);
      for (std::size_t w = 0; w < n_words; at += lengths[w++]) {
        Strings parts;
        for (const char c : text.substr(at, lengths[w])) parts.emplace_back(1, c);
        while (true) {
          std::size_t best = parts.size();
          int best_rank = 1 << 30;
          for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto found_rank = ranks.find({parts[i], parts[i + 1]});
            if (found_rank == ranks.end() || found_rank->second >= best_rank) continue;
            best = i;
            best_rank = found_rank->second;
          }
          if (best == parts.size()) break;
          parts[best] += parts[best + 1];
          parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        }
        for (const std::string& part : parts) expected.push_back(json["model"]["vocab"][to_byte_alphabet(part)]);
      }
    }
    ASSERT_EQ(tokenizer->encode(text).ids, expected) << Json(text).dump();
  }
}

}  // namespace
}  // namespace lmbits
