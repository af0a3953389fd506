#include "src/scaling/pcfg.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <map>

#include "src/core/error.h"
#include "src/scaling/gzip_complexity.h"

namespace lmbits {
namespace {

std::vector<std::int32_t> ids_of(const Grammar& grammar, std::uint64_t seed, std::size_t n) {
  PcfgStream stream(grammar, seed);
  std::vector<std::int32_t> ids(n);
  stream.fill(ids);
  return ids;
}

TEST(Pcfg, GivesTheSameIdsForASeedHoweverTheyAreTaken) {
  const Grammar grammar(parse_pcfg_setting("30-400-10-8"), 5);
  const auto all = ids_of(grammar, 5, 5000);
  PcfgStream stream(grammar, 5);
  std::vector<std::int32_t> pieces;
  for (std::size_t n = 1; pieces.size() < 5000; n = n % 37 + 1) {
    std::vector<std::int32_t> piece(std::min(n, 5000 - pieces.size()));
    stream.fill(piece);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(all, pieces);
  EXPECT_NE(all, ids_of(grammar, 6, 5000));
}

TEST(Pcfg, WritesTerminalsAndSeparatorsAlone) {
  for (const PcfgSetting& setting : pcfg_presets()) {
    const Grammar grammar(setting, 2);
    EXPECT_GT(ids_of(grammar, 2, 1)[0], 0);  // a sentence comes first, not a separator
    for (const std::int32_t id : ids_of(grammar, 2, 20000)) {
      ASSERT_GE(id, 0);
      ASSERT_LE(id, static_cast<std::int32_t>(setting.terminals));
    }
  }
}

TEST(Pcfg, SentencesHaveTheExpectedLength) {
  for (const char* name : {"20-300-10-5", "50-500-20-15"}) {
    const Grammar grammar(parse_pcfg_setting(name), 3);
    const auto ids = ids_of(grammar, 3, 2000000);
    double sentences = 0.0, tokens = 0.0;
    for (const std::int32_t id : ids) (id == 0 ? sentences : tokens) += 1.0;
    EXPECT_NEAR(tokens / sentences / grammar.mean_length(), 1.0, 0.05) << name;
  }
}

TEST(Pcfg, RightSidesAreDrawnByTheirWeights) {
  // One nonterminal of many single terminals or repeats: frequencies follow; the alias table sums to one an option.
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    const Grammar grammar(parse_pcfg_setting("1-1000-8-1"), seed);
    if (grammar.branching() > 0.0) continue;
    std::map<std::int32_t, double> counts;
    for (const std::int32_t id : ids_of(grammar, seed, 400000)) counts[id] += 1.0 / 200000.0;
    double sum = 0.0;
    for (const auto& [id, share] : counts) {
      if (id == 0) continue;
      sum += share;
      EXPECT_GT(share, 0.8 / 701.0);  // a weight of 1 beside seven of 100
    }
    EXPECT_NEAR(sum, 1.0, 1e-5);
    if (counts.size() > 6) return;  // one with many options is enough
  }
  FAIL() << "no such grammar";
}

TEST(Pcfg, BranchingOfManyGrammarsIsWhatItsSettingExpects) {
  double sum = 0.0;
  const PcfgSetting setting = parse_pcfg_setting("100-2000-100-30");
  for (std::uint64_t seed = 1; seed <= 5; ++seed) sum += Grammar(setting, seed).branching() / 5.0;
  EXPECT_NEAR(sum / expected_branching(setting), 1.0, 0.05);
  EXPECT_NEAR(expected_branching(parse_pcfg_setting("50-100-20-15")), 8.0 * 50 / 150, 1e-12);
}

TEST(Pcfg, KnowsGrammarsThatDoNotEnd) {
  const Grammar grammar(parse_pcfg_setting("50-100-20-15"), 1);
  EXPECT_GT(grammar.branching(), 2.0);
  EXPECT_TRUE(std::isinf(grammar.mean_length()));
  PcfgStream stream(grammar, 1, 6);  // cut at a depth, it still gives ids
  std::vector<std::int32_t> ids(10000);
  stream.fill(ids);
  EXPECT_GT(*std::max_element(ids.begin(), ids.end()), 0);
}

TEST(Pcfg, ReadsSettings) {
  EXPECT_EQ(parse_pcfg_setting("3-20-2-2").published_h, 0.11);
  EXPECT_EQ(parse_pcfg_setting("4-5-6-7").max_length, 7u);
  for (const char* text : {"", "3-20-2", "3-20-2-2-2", "3-20-2-x", "0-20-2-2", "3-20--2"})
    EXPECT_THROW(parse_pcfg_setting(text), Error) << text;
}

TEST(GzipSize, IsThatOfTheTestVectors) {
  const auto size_of = [](int n, auto id) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(id(i));
    return gzip_size(int32_big_endian(ids));
  };
  EXPECT_EQ(size_of(0, [](int) { return 0; }), 20u);
  EXPECT_EQ(size_of(256, [](int) { return 0; }), 29u);
  EXPECT_EQ(size_of(256, [](int i) { return i % 4; }), 38u);
}

TEST(GzipSize, IsThatOfLevel9) {
  const Grammar grammar(parse_pcfg_setting("30-400-10-8"), 1);
  const std::string bytes = int32_big_endian(ids_of(grammar, 1, 20000));
  const auto zlib_size = [&](int level) {
    uLongf size = compressBound(bytes.size());
    std::string out(size, '\0');
    EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                        bytes.size(), level),
              Z_OK);
    return size;
  };
  ASSERT_NE(zlib_size(9), zlib_size(6));
  EXPECT_EQ(gzip_size(bytes), zlib_size(9) + 12);  // header and trailer are 18 bytes instead of 6
}

TEST(ComplexityMeter, CutsDocumentsAndLeavesTheRestOut) {
  ComplexityMeter meter = ComplexityMeter::of_text(10, 0);
  meter.add(std::string_view("aaaaaaaaaabbbbbbbbbbccc"));
  meter.add(std::string_view("short"));
  EXPECT_EQ(meter.result().values.size(), 2u);
  EXPECT_EQ(meter.result().n_left, 8);
  EXPECT_EQ(meter.result().unit, "10 bytes of text, gzip-9");
  EXPECT_DOUBLE_EQ(meter.result().values[0], static_cast<double>(gzip_size("aaaaaaaaaa")) / 10.0);
  ComplexityMeter few = ComplexityMeter::of_ids(2, 3);
  few.add(std::vector<std::int32_t>(100, 7));
  EXPECT_EQ(few.result().values.size(), 3u);
  EXPECT_TRUE(few.full());
  EXPECT_FALSE(ComplexityMeter::of_ids(2, 0).result().median());
}

TEST(GzipComplexity, MedianAndMeanAreOfThePieces) {
  GzipComplexity h;
  h.values = {0.4, 0.1, 0.2, 0.9};
  EXPECT_DOUBLE_EQ(*h.median(), 0.3);
  EXPECT_DOUBLE_EQ(*h.mean(), 0.4);
}

TEST(GzipComplexity, OfPublishedSettingsLiesWithinTheSpreadOverGrammars) {
  for (const PcfgSetting& setting : pcfg_presets()) {
    double lo = 1e9, hi = 0.0;
    int n = 0;
    for (std::uint64_t seed = 1; n < 12; ++seed) {
      const Grammar grammar(setting, seed);
      if (grammar.branching() >= 1.0) continue;
      ++n;
      PcfgStream stream(grammar, seed);
      ComplexityMeter meter = ComplexityMeter::of_ids(256, 40);
      std::vector<std::int32_t> ids(256);
      while (!meter.full()) {
        stream.fill(ids);
        meter.add(ids);
      }
      lo = std::min(lo, *meter.result().median());
      hi = std::max(hi, *meter.result().median());
    }
    EXPECT_LE(lo, setting.published_h + 0.005) << setting.name;
    EXPECT_GE(hi, setting.published_h - 0.005) << setting.name;
  }
}

}  // namespace
}  // namespace lmbits
