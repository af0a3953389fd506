#include "src/corpus/duplicates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>
#include <set>

#include "src/core/json.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

using testing::TemporaryFolder;
using Words = std::vector<std::string>;

Words random_words(std::size_t n, unsigned seed, unsigned lexicon = 5000) {
  std::mt19937 random(seed);
  Words words;
  for (std::size_t i = 0; i < n; ++i) words.push_back("w" + std::to_string(random() % lexicon));
  return words;
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// The similarity itself, from the sets.
double jaccard(const Words& a, const Words& b) {
  const auto shingles = [](const Words& words) {
    std::set<Words> all;
    for (std::size_t i = 0; i + 5 <= words.size(); ++i)
      all.insert(
          Words(words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(i) + 5));
    return all;
  };
  const auto x = shingles(a), y = shingles(b);
  std::size_t common = 0;
  for (const Words& shingle : x) common += y.count(shingle);
  return static_cast<double>(common) / static_cast<double>(x.size() + y.size() - common);
}

Words changed(Words words, int n_changes, unsigned seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < n_changes; ++i) words[random() % words.size()] = "changed" + std::to_string(random());
  return words;
}

CorpusSpec write(const std::filesystem::path& path, const std::vector<std::string>& texts) {
  std::ofstream out(path, std::ios::binary);
  for (std::size_t i = 0; i < texts.size(); ++i)
    out << Json({{"id", std::to_string(i)}, {"text", texts[i]}}).dump() << "\n";
  CorpusSpec spec;
  spec.path = path;
  return spec;
}

Duplicates find(const std::vector<CorpusSpec>& corpora, const DuplicateOptions& options = {}) {
  NoProgress nobody;
  return find_duplicates(corpora, options, nobody);
}

TEST(Similarity, IsUnbiasedAndHasTheErrorItIsSaidToHave) {
  for (const std::size_t n : {60u, 400u, 4000u}) {
    for (const int changes : {1, static_cast<int>(n / 40), static_cast<int>(n / 10)}) {
      double sum = 0.0, squares = 0.0, expected_variance = 0.0;
      const int n_trials = n > 1000 ? 20 : 100;
      for (int t = 0; t < n_trials; ++t) {
        const Words a = random_words(n, 1000 + static_cast<unsigned>(t)),
                    b = changed(a, changes, static_cast<unsigned>(t));
        const double truth = jaccard(a, b);
        const double error = similarity(signature_of(joined(a)), signature_of(joined(b))) - truth;
        const double full_bins = 256 * (1 - std::exp(-static_cast<double>(n) * (2 - truth) / 256));
        expected_variance += truth * (1 - truth) / full_bins / n_trials;
        sum += error;
        squares += error * error;
      }
      const double bias = sum / n_trials, rms = std::sqrt(squares / n_trials), expected = std::sqrt(expected_variance);
      std::printf("%zu words, %d changed: bias %+.4f, rms error %.4f, stated %.4f\n", n, changes, bias, rms, expected);
      EXPECT_LT(std::abs(bias), 4 * expected / std::sqrt(n_trials));
      EXPECT_LT(rms, 1.5 * expected + 1e-9);
    }
  }
}

TEST(SignatureOf, DependsOnTheSetOfFiveGramsAlone) {
  const Words words = random_words(100, 1);
  EXPECT_EQ(signature_of(joined(words)), signature_of("  " + joined(words) + " ?!"));
  Words twice = words;
  twice.insert(twice.end(), words.begin(), words.end());
  EXPECT_GT(similarity(signature_of(joined(words)), signature_of(joined(twice))), 0.85);
  EXPECT_EQ(similarity(signature_of("a b"), signature_of("A, b!")), 1.0) << "shorter than a 5-gram";
  EXPECT_LT(similarity(signature_of("a b"), signature_of("a c")), 0.1);
}

TEST(ChanceToCompare, IsWhatHappens) {
  EXPECT_EQ(rows_of_a_band(0.8), 8);
  EXPECT_EQ(rows_of_a_band(0.95), 16);
  EXPECT_EQ(rows_of_a_band(0.5), 4);
  EXPECT_EQ(rows_of_a_band(0.1), 1);
  EXPECT_GT(chance_to_compare(0.8, 8), 0.99);
  for (double t = 0.1; t <= 1.0; t += 0.01) EXPECT_GE(chance_to_compare(t, rows_of_a_band(t)), 0.95) << t;
}

TEST(FindDuplicates, CountsCopiesWithinAndBetweenCorpora) {
  const TemporaryFolder folder;
  const std::string x = joined(random_words(50, 1)), y = joined(random_words(50, 2)), z = joined(random_words(50, 3));
  const CorpusSpec a = write(folder / "a.jsonl", {x, y, x, x, "", ""}), b = write(folder / "b.jsonl", {y, z, y});
  const Duplicates found = find({a, b});
  EXPECT_EQ(found.counts[0][0].n_equal, 3) << "two x and an empty one, from the second on";
  EXPECT_EQ(found.counts[1][1].n_equal, 1);
  EXPECT_EQ(found.counts[0][1].n_equal, 1) << "y";
  EXPECT_EQ(found.counts[1][0].n_equal, 2) << "both y";
  EXPECT_EQ(found.counts[0][0].n_equal_bytes, static_cast<std::int64_t>(2 * x.size()));
  for (const auto& row : found.counts)
    for (const DuplicateCounts& counts : row) EXPECT_EQ(counts.n_near, 0);
  EXPECT_EQ(found.corpora[0].n_documents, 6);
}

TEST(FindDuplicates, FindsPlantedNearCopiesAndNothingElse) {
  const TemporaryFolder folder;
  std::vector<std::string> first, second;
  std::set<std::string> planted;
  for (unsigned i = 0; i < 400; ++i) {
    const Words words = random_words(200, 10 + i);
    first.push_back(joined(words));
    if (i % 4 == 0) {  // some 2 words of 200: similarity about 0.9
      const Words near = changed(words, 2, i);
      ASSERT_GT(jaccard(words, near), 0.86);
      second.push_back(joined(near));
      planted.insert(std::to_string(i));
    } else if (i % 4 == 1) {  // about 0.55: below the threshold
      second.push_back(joined(changed(words, 12, i)));
    } else {
      second.push_back(joined(random_words(200, 5000 + i)));
    }
  }
  const CorpusSpec a = write(folder / "a.jsonl", first), b = write(folder / "b.jsonl", second);
  for (const int threads : {1, 2}) {
    const Duplicates found = find({a, b}, {0.8, threads, 1000});
    EXPECT_EQ(found.counts[0][1].n_near, 100);
    EXPECT_EQ(found.counts[1][0].n_near, 100);
    EXPECT_EQ(found.counts[0][0].n_near, 0);
    EXPECT_EQ(found.counts[1][1].n_near, 0);
    ASSERT_EQ(found.pairs.size(), 100u);
    for (const DuplicatePair& pair : found.pairs) {
      EXPECT_TRUE(planted.contains(pair.a)) << pair.a;
      EXPECT_EQ(pair.a, pair.b);
      EXPECT_GE(pair.similarity, 0.8);
    }
  }
}

TEST(FindDuplicates, CountsNearCopiesWithinACorpusFromTheSecondOn) {
  const TemporaryFolder folder;
  const Words words = random_words(300, 1);
  const CorpusSpec a = write(folder / "a.jsonl", {joined(words), joined(random_words(300, 2)),
                                                  joined(changed(words, 1, 1)), joined(changed(words, 1, 2))});
  EXPECT_EQ(find({a}).counts[0][0].n_near, 2);
}

}  // namespace
}  // namespace lmbits
