#include "src/tokenizer/word_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <numeric>
#include <random>

namespace lmbits {
namespace {

struct Entry {
  std::vector<std::int32_t> ids, n_bytes;
  bool is_lossy = false;
  bool operator==(const Entry&) const = default;
};

// What the cache says of a word, read as its users read it.
std::optional<Entry> look_up(const WordCache& cache, const std::string& word) {
  const std::string text = word + std::string(16, 'x');
  Entry entry;
  if (word.size() <= WordCache::kShortBytes) {
    const char* const end = text.data() + text.size();
    if (const auto* found = cache.find(WordCache::key_of(text.data(), word.size(), end))) {
      entry.is_lossy = (found->facts() & WordCache::kLossyFact) != 0;
      if (found->n_few() > 0) {
        entry.ids.assign(found->ids_and_facts, found->ids_and_facts + found->n_few());
        for (unsigned i = 0; i < found->n_few(); ++i)
          entry.n_bytes.push_back(static_cast<std::int32_t>(found->facts() >> 8 * i & 255));
        return entry;
      }
      std::int32_t begin = 0;
      for (std::int32_t end_byte = 1; end_byte <= 15; ++end_byte) {
        if (!(found->ends() >> (end_byte - 1) & 1)) continue;
        entry.n_bytes.push_back(end_byte - begin);
        begin = end_byte;
      }
      std::array<std::int32_t, WordCache::kShortTokens> ids;
      WordCache::copy_short_ids(*found, ids.data());
      entry.ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(entry.n_bytes.size()));
      return entry;
    }
  }
  WordCache::Long found;
  if (!cache.find_long(word, found)) return std::nullopt;
  entry.ids.assign(found.ids, found.ids + found.n_tokens);
  entry.n_bytes.assign(found.n_bytes, found.n_bytes + found.n_tokens);
  entry.is_lossy = found.is_lossy;
  return entry;
}

Entry random_entry(std::mt19937& rng, std::size_t n_bytes) {
  Entry entry;
  for (std::size_t left = n_bytes; left > 0;) {
    const std::size_t n = std::min<std::size_t>(left, 1 + rng() % (rng() % 3 ? 2 : 9));
    entry.ids.push_back(static_cast<std::int32_t>(rng() % (1 << 24)));
    entry.n_bytes.push_back(static_cast<std::int32_t>(n));
    left -= n;
  }
  entry.is_lossy = rng() % 8 == 0;
  return entry;
}

TEST(WordCache, WhatItKnowsIsWhatWasPutLastAndItForgetsNothingAtOnce) {
  std::mt19937 rng(1);
  WordCache cache;
  std::map<std::string, Entry> truth;
  std::vector<std::string> words;
  std::size_t n_known = 0, n_asked = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string word(1 + rng() % (rng() % 4 ? 15 : 60), '\0');
    for (char& c : word) c = "ab\0\n\x03\xFF"[rng() % 6];
    const Entry entry = random_entry(rng, word.size());
    cache.put(word, entry.ids, entry.n_bytes, entry.is_lossy);
    ASSERT_EQ(look_up(cache, word), entry);
    truth[word] = entry;
    words.push_back(word);
    const std::string& other = words[rng() % words.size()];
    if (const auto found = look_up(cache, other)) {
      ASSERT_EQ(*found, truth.at(other)) << i;
      ++n_known;
    }
    ++n_asked;
  }
  EXPECT_GT(n_known * 2, n_asked);
}

TEST(WordCache, ZerosAndLengthsTellWordsApart) {
  WordCache cache;
  const std::vector<std::int32_t> one = {1}, bytes = {1};
  cache.put(std::string("a"), one, bytes, false);
  for (const std::string& other : {std::string("a\0", 2), std::string("a\0\0", 3), std::string("\0a", 2),
                                   std::string("a\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 15)})
    EXPECT_FALSE(look_up(cache, other)) << other.size();
}

TEST(WordCache, WhatDoesNotFitIsNotKept) {
  WordCache cache;
  const std::string long_word(WordCache::kLongBytes + 1, 'a');
  const std::vector<std::int32_t> ids = {7}, n_bytes = {static_cast<std::int32_t>(long_word.size())};
  cache.put(long_word, ids, n_bytes, false);
  EXPECT_FALSE(look_up(cache, long_word));
  const std::string word(250, 'b');
  const std::vector<std::int32_t> fitting = {250};
  cache.put(word, ids, fitting, true);
  EXPECT_EQ(look_up(cache, word), (Entry{{7}, {250}, true}));
}

TEST(WordCache, AnArenaThatIsFullIsEmptiedAndGoesOn) {
  WordCache cache;
  std::mt19937 rng(2);
  for (int i = 0; i < 30000; ++i) {  // more than there is room for
    std::string word = std::to_string(i);
    word.resize(200, 'w');
    const Entry entry = random_entry(rng, word.size());
    cache.put(word, entry.ids, entry.n_bytes, entry.is_lossy);
    ASSERT_EQ(look_up(cache, word), entry);
  }
  EXPECT_FALSE(look_up(cache, "0" + std::string(199, 'w')));
  EXPECT_LE(WordCache::max_bytes(), std::size_t{33} << 20);
}

}  // namespace
}  // namespace lmbits
