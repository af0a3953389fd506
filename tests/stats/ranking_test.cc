#include "src/stats/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "src/stats/random.h"

namespace lmbits {
namespace {

struct Corpus {
  PairedUnits units;
  Resamples resamples;
};

// Model m costs level[m] bits a byte, times what the unit costs every model, times noise of its own.
Corpus make_corpus(const std::vector<double>& levels, double noise, std::uint64_t seed, std::size_t n_units = 60,
                   int n_threads = 1) {
  Corpus corpus;
  corpus.units.bits.resize(levels.size());
  Random random(seed, 0);
  for (std::size_t u = 0; u < n_units; ++u) {
    const double weight = 100.0 + random.below(1000), hardness = 0.5 + random.uniform();
    corpus.units.weight.push_back(weight);
    for (std::size_t m = 0; m < levels.size(); ++m) {
      corpus.units.bits[m].push_back(weight * levels[m] * hardness * (1.0 + noise * (random.uniform() - 0.5)));
    }
  }
  corpus.resamples = resample(corpus.units, 2000, 1, seed, n_threads);
  return corpus;
}

std::vector<Column> columns_of(const Corpus& corpus) {
  std::vector<Column> columns;
  for (std::size_t m = 0; m < corpus.units.bits.size(); ++m) {
    columns.push_back(
        {corpus.units.weight, corpus.units.bits[m], corpus.resamples.weight, corpus.resamples.bits[m], 0});
  }
  return columns;
}

TEST(RankModels, IdenticalModelsTieWithDifferenceExactlyZero) {
  Corpus corpus = make_corpus({1.0, 2.0}, 0.1, 1);
  corpus.units.bits.push_back(corpus.units.bits[0]);
  corpus.resamples = resample(corpus.units, 2000, 1, 1, 1);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  ASSERT_EQ(ranked[0].model, 0u);
  ASSERT_EQ(ranked[1].model, 2u);
  EXPECT_EQ(ranked[1].difference, 0.0);
  EXPECT_EQ(ranked[1].difference_interval->lo, 0.0);
  EXPECT_EQ(ranked[1].difference_interval->hi, 0.0);
  EXPECT_TRUE(ranked[1].tied_with_best);
  for (int i : {0, 1}) {
    EXPECT_EQ(ranked[static_cast<std::size_t>(i)].rank, 1);
    EXPECT_EQ(ranked[static_cast<std::size_t>(i)].rank_lo, 1);
    EXPECT_EQ(ranked[static_cast<std::size_t>(i)].rank_hi, 2);
  }
  EXPECT_EQ(ranked[2].rank, 3);
}

TEST(RankModels, ClearlySeparatedModelsHaveDegenerateRankIntervals) {
  const Corpus corpus = make_corpus({3.0, 1.0, 2.0}, 0.05, 2);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  const std::vector<std::size_t> order{1, 2, 0};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ranked[i].model, order[i]);
    EXPECT_EQ(ranked[i].rank_lo, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(ranked[i].rank_hi, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(ranked[i].tied_with_best, i == 0);
  }
}

TEST(RankModels, CloseModelsShareRanksAndAreTied) {
  const Corpus corpus = make_corpus({1.0, 1.0001, 3.0}, 0.3, 3);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  EXPECT_EQ(ranked[0].rank_lo, 1);
  EXPECT_EQ(ranked[0].rank_hi, 2);
  EXPECT_TRUE(ranked[1].tied_with_best);
  EXPECT_EQ(ranked[2].rank_lo, 3);
}

TEST(RankModels, PairingShowsADifferenceFarSmallerThanTheModelsOwnIntervals) {
  const Corpus corpus = make_corpus({1.0, 1.01}, 0.01, 4);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  EXPECT_TRUE(ranked[0].interval->contains(ranked[1].value));
  EXPECT_FALSE(ranked[1].tied_with_best);

  auto unpaired = columns_of(corpus);  // the same numbers, resampled apart
  const Resamples apart = resample({corpus.units.weight, {corpus.units.bits[1]}}, 2000, 1, 99, 1);
  unpaired[1].resampled_weight = apart.weight;
  unpaired[1].resampled_bits = apart.bits[0];
  unpaired[1].group = 1;
  EXPECT_TRUE(rank_models({unpaired}, {})[1].tied_with_best);
}

TEST(RankModels, AreInTheOrderOfTheMetricsDirection) {
  const Corpus corpus = make_corpus({1.0, 2.0}, 0.05, 5);
  const auto by_bits = rank_models({columns_of(corpus)}, {.metric = Metric::kBitsPerByte});
  const auto by_ratio = rank_models({columns_of(corpus)}, {.metric = Metric::kRatio});
  EXPECT_EQ(by_bits[0].model, by_ratio[0].model);
  EXPECT_NEAR(by_ratio[0].value, 8.0 / by_bits[0].value, 1e-12);
  EXPECT_GT(by_bits[1].difference, 0.0);
  EXPECT_LT(by_ratio[1].difference, 0.0);
  EXPECT_LT(by_ratio[1].difference_interval->hi, 0.0);
}

TEST(RankModels, MicroPoolsTheSumsAndMacroTheMetrics) {
  const Corpus small = make_corpus({1.0}, 0.1, 6, 10), large = make_corpus({3.0}, 0.1, 7, 200);
  const auto sum = [](const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); };
  const Strata strata{columns_of(small), columns_of(large)};
  const double b1 = sum(small.units.bits[0]), w1 = sum(small.units.weight);
  const double b2 = sum(large.units.bits[0]), w2 = sum(large.units.weight);
  const auto micro = rank_models(strata, {.pooling = Pooling::kMicro})[0];
  const auto macro = rank_models(strata, {.pooling = Pooling::kMacro})[0];
  EXPECT_DOUBLE_EQ(micro.value, (b1 + b2) / (w1 + w2));
  EXPECT_DOUBLE_EQ(macro.value, 0.5 * (b1 / w1 + b2 / w2));
  EXPECT_TRUE(micro.interval->contains(micro.value));
  EXPECT_TRUE(macro.interval->contains(macro.value));
}

TEST(RankModels, OneModelRanksFirst) {
  const Corpus corpus = make_corpus({1.0}, 0.1, 8);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  ASSERT_EQ(ranked.size(), 1u);
  EXPECT_EQ(ranked[0].rank_hi, 1);
  EXPECT_TRUE(ranked[0].tied_with_best);
}

TEST(RankModels, OneUnitGivesNumbersWithoutIntervals) {
  const Corpus corpus = make_corpus({1.0, 2.0}, 0.1, 9, 1);
  const auto ranked = rank_models({columns_of(corpus)}, {});
  EXPECT_EQ(ranked[1].rank, 2);
  EXPECT_FALSE(ranked[0].interval);
  EXPECT_FALSE(ranked[1].difference_interval);
  EXPECT_FALSE(ranked[1].rank_hi);
  EXPECT_FALSE(ranked[1].tied_with_best);
}

TEST(RankModels, AreTheSameAtAnyThreadCount) {
  const Corpus corpus = make_corpus({1.0, 1.01, 1.02, 1.5}, 0.2, 10);
  const auto one = rank_models({columns_of(corpus)}, {.n_threads = 1});
  const auto eight = rank_models({columns_of(corpus)}, {.n_threads = 8});
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].model, eight[i].model);
    EXPECT_EQ(one[i].interval->lo, eight[i].interval->lo);
    EXPECT_EQ(one[i].difference_interval->hi, eight[i].difference_interval->hi);
    EXPECT_EQ(one[i].rank_hi, eight[i].rank_hi);
  }
}

// The tie rule is a test of level 5 %: a second model of equal expected cost may be called different that often.
TEST(RankModels, EqualModelsAreCalledDifferentAsOftenAsTheLevelSays) {
  constexpr int kRounds = 400;
  int different = 0;
  for (int i = 0; i < kRounds; ++i) {
    const Corpus corpus = make_corpus({1.0, 1.0}, 0.2, 1000 + static_cast<std::uint64_t>(i), 40, 2);
    different += !rank_models({columns_of(corpus)}, {})[1].tied_with_best;
  }
  EXPECT_GE(different, 0.02 * kRounds);
  EXPECT_LE(different, 0.09 * kRounds);
}

TEST(RelativeDifference, OfAShiftedCopyIsExactlyTheShift) {
  Corpus corpus = make_corpus({1.0}, 0.3, 11);
  corpus.units.bits.push_back(corpus.units.bits[0]);
  for (double& bits : corpus.units.bits[1]) bits *= 1.01;
  corpus.resamples = resample(corpus.units, 500, 1, 0, 1);
  const Strata strata{columns_of(corpus)};
  const auto base = statistic(strata, 0, Metric::kBitsPerByte, Pooling::kMicro);
  const auto shifted = statistic(strata, 1, Metric::kBitsPerByte, Pooling::kMicro);
  const auto relative = relative_difference(shifted, base);
  EXPECT_NEAR(relative.value, 0.01, 1e-14);
  const auto interval = interval_of(relative, 0.95, IntervalMethod::kBca);
  EXPECT_NEAR(interval->lo, 0.01, 1e-14);
  EXPECT_NEAR(interval->hi, 0.01, 1e-14);
}

// The influences are what the replicates' spread is made of: sum d^2 is the jackknife's variance, the bootstrap's agrees.
TEST(Statistic, InfluencesAgreeWithTheReplicatesSpread) {
  const Corpus a = make_corpus({1.0, 1.1}, 0.4, 12, 80), b = make_corpus({2.0, 2.1}, 0.4, 13, 120);
  const Strata strata{columns_of(a), columns_of(b)};
  for (const Pooling pooling : {Pooling::kMicro, Pooling::kMacro}) {
    const auto first = statistic(strata, 0, Metric::kBitsPerByte, pooling);
    const auto second = statistic(strata, 1, Metric::kBitsPerByte, pooling);
    for (const Statistic& s : {first, difference(first, second), relative_difference(first, second)}) {
      double mean = 0.0, variance = 0.0, jackknife = 0.0;
      for (const double x : s.replicates) mean += x / static_cast<double>(s.replicates.size());
      for (const double x : s.replicates)
        variance += (x - mean) * (x - mean) / static_cast<double>(s.replicates.size());
      for (const auto& stratum : s.influences) {
        const auto n = static_cast<double>(stratum.size());
        for (const double d : stratum) jackknife += d * d * n / (n - 1.0);
      }
      EXPECT_NEAR(variance / jackknife, 1.0, 0.12);
    }
  }
}

}  // namespace
}  // namespace lmbits
