#include "src/corpus/overlap.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <set>

#include "src/core/error.h"
#include "src/core/json.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

using testing::TemporaryFolder;

CorpusSpec write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  CorpusSpec spec;
  spec.path = path;
  return spec;
}

std::string lines_of(const std::vector<std::string>& texts) {
  std::string lines;
  for (std::size_t i = 0; i < texts.size(); ++i)
    lines += Json({{"id", std::to_string(i)}, {"text", texts[i]}}).dump() + "\n";
  return lines;
}

// Letters of an alphabet of `n`: with a small one n-grams repeat within and between texts.
std::string letters(std::size_t length, unsigned seed, unsigned n = 26) {
  std::mt19937 random(seed);
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text.push_back(static_cast<char>('a' + random() % n));
  return text;
}

// The definition: every n-gram of the other texts in a set.
DocumentOverlap slow_overlap(const std::string& text, const std::vector<std::string>& train, std::size_t n) {
  std::set<std::string> seen;
  for (const std::string& other : train)
    for (std::size_t i = 0; i + n <= other.size(); ++i) seen.insert(other.substr(i, n));
  DocumentOverlap overlap;
  std::vector<bool> covered(text.size());
  for (std::size_t i = 0; i + n <= text.size(); ++i) {
    ++overlap.n_ngrams;
    if (!seen.contains(text.substr(i, n))) continue;
    ++overlap.n_found;
    for (std::size_t k = i; k < i + n; ++k) covered[k] = true;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!covered[i]) continue;
    const auto at = static_cast<std::int64_t>(i);
    if (i == 0 || !covered[i - 1]) overlap.found.emplace_back(at, at);
    overlap.found.back().second = at + 1;
  }
  return overlap;
}

Overlap measure(const CorpusSpec& corpus, const std::vector<CorpusSpec>& train, const OverlapOptions& options) {
  NoProgress nobody;
  return measure_overlap(corpus, train, options, nobody);
}

TEST(MeasureOverlap, EqualsTheDefinitionOnRandomTexts) {
  const TemporaryFolder folder;
  for (unsigned seed = 0; seed < 30; ++seed) {
    const int n = 1 + static_cast<int>(seed % 12);
    const unsigned alphabet = seed % 3 == 0 ? 2 : seed % 3 == 1 ? 4 : 26;
    std::vector<std::string> texts, train;
    for (unsigned i = 0; i < 12; ++i) texts.push_back(letters(seed * i % 700, 100 * seed + i, alphabet));
    for (unsigned i = 0; i < 5; ++i) train.push_back(letters(300 * i, 100 * seed + 50 + i, alphabet));
    train.push_back(texts[3].substr(texts[3].size() / 2) + "!" + texts[5]);
    const CorpusSpec corpus = write(folder / "c.jsonl", lines_of(texts)),
                     other = write(folder / "t.jsonl", lines_of(train));
    // In one part, and in as many as there are documents.
    for (const std::int64_t memory : {std::int64_t{1} << 30, std::int64_t{1}}) {
      const OverlapOptions options{{NgramRule::Unit::kBytes, n}, 1 + static_cast<int>(seed % 2), memory};
      const Overlap overlap = measure(corpus, {other}, options);
      ASSERT_EQ(overlap.documents.size(), texts.size());
      if (seed > 0) {
        EXPECT_EQ(overlap.n_passes > 5, memory == 1);
      }
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const DocumentOverlap expected = slow_overlap(texts[i], train, static_cast<std::size_t>(n));
        EXPECT_EQ(overlap.documents[i].n_ngrams, expected.n_ngrams) << seed << " " << i;
        EXPECT_EQ(overlap.documents[i].n_found, expected.n_found) << seed << " " << i;
        EXPECT_EQ(overlap.documents[i].found, expected.found) << seed << " " << i;
      }
    }
  }
}

TEST(MeasureOverlap, FindsAPlantedPieceToTheByte) {
  const TemporaryFolder folder;
  const std::string planted = letters(300, 1);
  const std::vector<std::string> texts = {letters(1000, 2) + planted + letters(500, 3), letters(2000, 4), "short"};
  const CorpusSpec corpus = write(folder / "c.jsonl", lines_of(texts));
  const CorpusSpec train = write(folder / "t.txt", letters(10000, 5) + planted + letters(10000, 6));
  const Overlap overlap = measure(corpus, {train}, {});
  const DocumentOverlap& hit = overlap.documents[0];
  EXPECT_EQ(hit.found, (std::vector<std::pair<std::int64_t, std::int64_t>>{{1000, 1300}}));
  EXPECT_EQ(hit.n_found, 300 - 50 + 1);
  EXPECT_EQ(hit.n_ngrams, 1800 - 50 + 1);
  EXPECT_DOUBLE_EQ(hit.share(), 300.0 / 1800.0);
  EXPECT_EQ(hit.longest_found(), 300);
  EXPECT_EQ(overlap.documents[1].n_found, 0);
  EXPECT_EQ(overlap.documents[2].n_ngrams, 0);
  EXPECT_EQ(overlap.n_train_bytes, 20300);
  const OverlapTotals totals = total(overlap.documents, 0.15);
  EXPECT_EQ(totals.n_contaminated, 1);
  EXPECT_EQ(totals.n_too_short, 1);
  EXPECT_EQ(total(overlap.documents, 0.17).n_contaminated, 0);
}

TEST(MeasureOverlap, FindsWhatLiesAcrossThePiecesInWhichLongTextsAreRead) {
  const TemporaryFolder folder;
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::string train = letters(3 * kPiece + 100, 7);
  for (std::size_t i = 9; i < train.size(); i += 10) train[i] = ' ';
  std::vector<std::string> texts;
  for (const std::size_t border : {kPiece, 2 * kPiece, 3 * kPiece})
    for (std::size_t before = 0; before <= 60; before += 5) texts.push_back(train.substr(border - before, 60));
  const CorpusSpec corpus = write(folder / "c.jsonl", lines_of(texts)), other = write(folder / "t.txt", train);
  for (const DocumentOverlap& document : measure(corpus, {other}, {}).documents) EXPECT_EQ(document.n_found, 11);
  const OverlapOptions words{{NgramRule::Unit::kWords, 3}, 2, std::int64_t{1} << 30};
  for (const DocumentOverlap& document : measure(corpus, {other}, words).documents)
    EXPECT_GE(document.n_found, 2) << "the first and last of the six words may be cut";
}

TEST(MeasureOverlap, NgramsDoNotCrossDocuments) {
  const TemporaryFolder folder;
  const CorpusSpec corpus = write(folder / "c.jsonl", lines_of({"abcdef"}));
  const CorpusSpec train = write(folder / "t.jsonl", lines_of({"abc", "def"}));
  EXPECT_EQ(measure(corpus, {train}, {{NgramRule::Unit::kBytes, 4}}).documents[0].n_found, 0);
  EXPECT_EQ(measure(corpus, {train}, {{NgramRule::Unit::kBytes, 3}}).documents[0].n_found, 2);
}

TEST(MeasureOverlap, SeveralTrainingTextsAreOne) {
  const TemporaryFolder folder;
  const CorpusSpec corpus = write(folder / "c.jsonl", lines_of({"abcdef"}));
  const CorpusSpec a = write(folder / "a.txt", "xabcx"), b = write(folder / "b.txt", "xdefx");
  const Overlap overlap = measure(corpus, {a, b}, {{NgramRule::Unit::kBytes, 3}});
  EXPECT_EQ(overlap.documents[0].n_bytes_found(), 6);
  EXPECT_EQ(overlap.n_train_bytes, 10);
}

TEST(MeasureOverlap, WordsMatchWhateverTheirCaseAndPunctuation) {
  const TemporaryFolder folder;
  const CorpusSpec corpus = write(folder / "c.jsonl", lines_of({"It was the BEST of times, it was -- the worst!"}));
  const CorpusSpec train = write(folder / "t.txt", "... it was: the best\nof times; it was the worst of times");
  const Overlap overlap = measure(corpus, {train}, {{NgramRule::Unit::kWords, 5}});
  EXPECT_EQ(overlap.documents[0].n_ngrams, 6);
  EXPECT_EQ(overlap.documents[0].n_found, 6);
  EXPECT_EQ(overlap.documents[0].n_bytes_found(), 45) << "to the end of the last word";
  EXPECT_EQ(measure(corpus, {train}, {{NgramRule::Unit::kBytes, 20}}).documents[0].n_found, 0);
}

TEST(WordsOf, CutsAtPunctuationAndBetweenCjkCharacters) {
  const auto cut = [](const std::string& text) {
    std::vector<std::string> words;
    for (const Word& word : words_of(text)) words.push_back(text.substr(word.begin, word.end - word.begin));
    return words;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(cut("Don't  stop_me 42x"), (Words{"Don", "t", "stop", "me", "42x"}));
  EXPECT_EQ(cut("na\xC3\xAFve caf\xC3\xA9"), (Words{"na\xC3\xAFve", "caf\xC3\xA9"}));
  EXPECT_EQ(cut("\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82x"), (Words{"\xE6\x97\xA5", "\xE6\x9C\xAC", "x"}));
  EXPECT_EQ(cut("a\xE2\x80\x94"
                "b"),
            (Words{"a", "b"}));
  EXPECT_EQ(cut("\xff\xfe"
                "a"),
            Words{"\xff\xfe"
                  "a"});
  EXPECT_EQ(cut(""), Words{});
  EXPECT_EQ(words_of("WORD")[0].hash, words_of("word")[0].hash);
  EXPECT_NE(words_of("word")[0].hash, words_of("ward")[0].hash);
}

TEST(ParseNgram, TakesBytesAndWords) {
  EXPECT_EQ(to_string(parse_ngram("50b")), "50 bytes");
  EXPECT_EQ(to_string(parse_ngram("13 words")), "13 words");
  for (const char* bad : {"", "50", "0b", "1001w", "b", "5 chars", "-1b"}) EXPECT_THROW(parse_ngram(bad), Error) << bad;
}

}  // namespace
}  // namespace lmbits
