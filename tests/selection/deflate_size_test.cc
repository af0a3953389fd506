#include "src/selection/deflate_size.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

namespace lmbits {
namespace {

std::int64_t zlib_size(const std::string& text, int level) {
  uLongf size = compressBound(text.size());
  std::string out(size, '\0');
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                      text.size(), level),
            Z_OK);
  return static_cast<std::int64_t>(size);
}

// Texts of many sorts: noise, one letter, few letters, words, words with noise, long repeats.
class TextMaker {
 public:
  explicit TextMaker(unsigned seed) : random_(seed), kind_(seed % 6) {
    for (int i = 0; i < 400; ++i) {
      std::string word;
      for (std::size_t n = 1 + random_() % 9; n > 0; --n) word += static_cast<char>('a' + random_() % 26);
      words_.push_back(word + ' ');
    }
  }
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string make(std::size_t n_bytes) {
    std::string text;
    while (text.size() < n_bytes) {
      switch (kind_) {
        case 0:
          text += static_cast<char>(random_());
          break;
        case 1:
          text += 'a';
          break;
        case 2:
          text += static_cast<char>('a' + random_() % 3);
          break;
        case 3:
          text += word();
          break;
        case 4:
          text += random_() % 9 == 0 ? std::string(1, static_cast<char>(random_())) : word();
          break;
        default:
          text += text.size() > 500 && random_() % 3 == 0 ? text.substr(below(text.size() - 400), 400) : word();
      }
    }
    text.resize(n_bytes);
    return text;
  }

 private:
  const std::string& word() { return words_[std::min({below(400), below(400), below(400)})]; }
  std::mt19937 random_;
  unsigned kind_;
  std::vector<std::string> words_;
};

TEST(DeflateSize, IsThatOfZlibForEverySortOfTextAtEveryLevel) {
  for (unsigned seed = 0; seed < 72; ++seed) {
    const int level = 4 + static_cast<int>(seed / 6 % 6);
    TextMaker maker(seed);
    const auto sizer = make_deflate_sizer(level);
    std::string prefix;
    for (int step = 0; step < 4; ++step) {
      for (const std::size_t longest : {1u, 300u, 3000u, 40000u}) {
        const std::string sample = maker.make(maker.below(longest + 1));
        ASSERT_EQ(sizer->size_with(sample), zlib_size(prefix + sample, level))
            << "seed " << seed << " level " << level << " prefix " << prefix.size() << " sample " << sample.size();
      }
      const std::string piece = maker.make(maker.below(30000));
      prefix += piece;
      sizer->append(piece);
    }
  }
}

TEST(DeflateSize, ASampleLeavesNoTrace) {
  TextMaker maker(3);
  const auto sizer = make_deflate_sizer(9), fresh = make_deflate_sizer(9);
  const std::string prefix = maker.make(50000), sample = maker.make(1000);
  sizer->append(prefix);
  fresh->append(prefix);
  for (int i = 0; i < 50; ++i) sizer->size_with(maker.make(maker.below(40000)));
  EXPECT_EQ(sizer->size_with(sample), fresh->size_with(sample));
}

TEST(DeflateSize, HowThePrefixWasCutDoesNotMatter) {
  TextMaker maker(4);
  const std::string prefix = maker.make(120000);
  for (const std::size_t cut : {1u, 7u, 261u, 262u, 4096u}) {
    const auto sizer = make_deflate_sizer(9);
    for (std::size_t at = 0; at < prefix.size(); at += cut) sizer->append(prefix.substr(at, cut));
    EXPECT_EQ(sizer->size_with("the end"), zlib_size(prefix + "the end", 9)) << cut;
  }
}

// The window slides at byte 65274: what lies 32506 bytes back can be matched there, unless less than 262 bytes follow; and
// only where it is the nearest of its chain, so what is planted shares no hash with the noise.
TEST(DeflateSize, IsThatOfZlibWhereTheWindowSlides) {
  std::mt19937 random(1);
  std::string noise;
  for (int i = 0; i < 100000; ++i) noise += static_cast<char>('@' + random() % 16);
  for (std::size_t at = 65272; at <= 65277; ++at) {
    for (const std::size_t distance : {32504u, 32505u, 32506u, 32507u, 32508u}) {
      for (const std::size_t n_left : {13u, 200u, 255u, 260u, 261u, 262u, 263u, 264u, 300u, 20000u}) {
        std::string text = noise.substr(0, at + n_left);
        for (const std::size_t place : {at, at - distance}) text.replace(place, 12, "PQRSTUVWXYZ[");
        const auto sizer = make_deflate_sizer(9);
        const std::size_t cut = at - 1000;
        sizer->append(text.substr(0, cut));
        ASSERT_EQ(sizer->size_with(text.substr(cut)), zlib_size(text, 9)) << at << " " << distance << " " << n_left;
      }
    }
  }
}

TEST(DeflateSize, ALongPrefixIsForgottenButForItsWindow) {
  TextMaker maker(5);
  const auto sizer = make_deflate_sizer(6);
  std::string prefix;
  for (int i = 0; i < 60; ++i) {
    const std::string piece = maker.make(50000);
    prefix += piece;
    sizer->append(piece);
  }
  const std::string sample = maker.make(500);
  EXPECT_EQ(sizer->size_with(sample), zlib_size(prefix + sample, 6));
}

// As after each gigabyte of prefix, here after 256 KiB.
TEST(DeflateSize, LoweringAllPositionsChangesNoSize) {
  for (const int level : {4, 9}) {
    TextMaker maker(6);
    const auto sizer = make_deflate_sizer(level, 1 << 18);
    std::string prefix;
    for (int i = 0; i < 60; ++i) {
      const std::string piece = maker.make(20000 + maker.below(20000));
      prefix += piece;
      sizer->append(piece);
      if (i % 9 != 8) continue;
      const std::string sample = maker.make(maker.below(40000));
      ASSERT_EQ(sizer->size_with(sample), zlib_size(prefix + sample, level)) << level << " " << i;
    }
  }
}

TEST(ZlibSizer, CopiesOfTheStateGiveZlibsSizesAtEveryLevel) {
  for (int level = 0; level <= 9; ++level) {
    TextMaker maker(static_cast<unsigned>(level));
    const auto sizer = make_zlib_sizer(level);
    std::string prefix;
    for (int step = 0; step < 3; ++step) {
      const std::string sample = maker.make(maker.below(2000));
      EXPECT_EQ(sizer->size_with(sample), zlib_size(prefix + sample, level)) << level;
      prefix += maker.make(3000);
      sizer->append(prefix.substr(prefix.size() - 3000));
    }
  }
}

}  // namespace
}  // namespace lmbits
