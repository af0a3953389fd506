#include "src/selection/entropy_law.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/stats/normal.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

double noise(Random& random) { return normal_quantile((random.uniform() + 1e-12) / (1 + 2e-12)); }

std::vector<LawRow> rows_of(std::size_t n, double sd, std::uint64_t seed, bool has_loss = true) {
  Random random(seed, 0);
  std::vector<LawRow> rows;
  for (std::size_t i = 0; i < n; ++i) {
    LawRow row{"set", 1.5 + 3 * random.uniform(), std::nullopt, 0.0};
    const double loss = 0.8 + 0.4 * std::log(row.ratio) + 0.1 * noise(random);
    if (has_loss) row.loss = loss;
    row.score = 9 - 2 * std::log(row.ratio) - (has_loss ? 1.5 * loss : 0.0) + sd * noise(random);
    rows.push_back(row);
  }
  return rows;
}

TEST(EntropyLaw, FindsTheLawThatMadeTheScores) {
  const auto fit = fit_entropy_law(rows_of(12, 0.0, 1), 0.95);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->terms[0].value, 9, 1e-9);
  EXPECT_NEAR(fit->terms[1].value, -2, 1e-9);
  EXPECT_NEAR(fit->terms[2].value, -1.5, 1e-9);
  EXPECT_NEAR(fit->r_squared, 1, 1e-12);
  const auto without = fit_entropy_law(rows_of(12, 0.0, 1, false), 0.95);
  ASSERT_TRUE(without);
  ASSERT_EQ(without->terms.size(), 2u);
  EXPECT_NEAR(without->terms[1].value, -2, 1e-9);
}

// The interval holds the true slope as often as it says: 95 % of 2,000 tables of 8 rows, within 4 standard errors.
TEST(EntropyLaw, IntervalsCoverWhatTheyClaim) {
  int n_ln_r = 0, n_loss = 0;
  constexpr int kTables = 2000;
  for (int i = 0; i < kTables; ++i) {
    const auto fit = fit_entropy_law(rows_of(8, 0.2, static_cast<std::uint64_t>(i)), 0.95);
    n_ln_r += fit->terms[1].interval.contains(-2) ? 1 : 0;
    n_loss += fit->terms[2].interval.contains(-1.5) ? 1 : 0;
  }
  const double error = 4 * std::sqrt(0.95 * 0.05 / kTables);
  EXPECT_NEAR(n_ln_r / static_cast<double>(kTables), 0.95, error);
  EXPECT_NEAR(n_loss / static_cast<double>(kTables), 0.95, error);
}

// numpy.linalg.lstsq on [1, ln R, loss], errors from its inverse Gram matrix, t(0.975, 4) = 2.7764451051977987.
TEST(EntropyLaw, AgreesWithAnIndependentLeastSquares) {
  const std::vector<LawRow> rows = {{"a", 2.0, 1.10, 7.1}, {"b", 2.3, 1.15, 6.7}, {"c", 2.6, 1.22, 6.6},
                                    {"d", 2.9, 1.20, 6.2}, {"e", 3.3, 1.31, 5.9}, {"f", 3.6, 1.90, 5.0},
                                    {"g", 4.0, 1.36, 5.6}};
  const auto fit = fit_entropy_law(rows, 0.95);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->terms[0].value, 9.70621333904, 1e-8);
  EXPECT_NEAR(fit->terms[1].value, -1.70593466753, 1e-8);
  EXPECT_NEAR(fit->terms[1].error, 0.218391943047, 1e-8);
  EXPECT_NEAR(fit->terms[2].interval.lo, -1.87746559905, 1e-8);
  EXPECT_NEAR(fit->terms[2].interval.hi, -0.764721234491, 1e-8);
}

TEST(EntropyLaw, IsUndefinedWhereTheDataDoNotTell) {
  EXPECT_FALSE(fit_entropy_law({}, 0.95));
  EXPECT_FALSE(fit_entropy_law(rows_of(3, 0.1, 1), 0.95));
  auto rows = rows_of(8, 0.1, 1);
  for (LawRow& row : rows) row.ratio = 2;
  EXPECT_FALSE(fit_entropy_law(rows, 0.95));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].loss = std::log(rows[i].ratio = 2.0 + static_cast<double>(i));
  EXPECT_FALSE(fit_entropy_law(rows, 0.95));  // ln R and loss are the same
}

TEST(EntropyLaw, FlagsTheLossThatRDoesNotExplainAndNoOther) {
  auto rows = rows_of(10, 0.1, 3);
  rows[4].loss = *rows[4].loss + 2;
  rows[4].name = "odd";
  for (const LossCheck& check : check_losses(rows, 0.95))
    EXPECT_EQ(check.is_abnormal, check.name == "odd") << check.loss;
}

// Where the other losses have no spread, a loss is on their line or it is flagged.
TEST(EntropyLaw, FlagsALossBesideAnExactLine) {
  for (const double slope : {0.0, 0.3}) {
    auto rows = rows_of(6, 0.1, 3);
    for (LawRow& row : rows) row.loss = 1.1 + slope * std::log(row.ratio);
    for (const LossCheck& check : check_losses(rows, 0.95)) {
      EXPECT_EQ(check.p, 1.0) << slope;
      EXPECT_FALSE(check.is_abnormal) << slope;
    }
    rows[2].loss = *rows[2].loss + 0.5;
    const auto checks = check_losses(rows, 0.95);
    EXPECT_EQ(checks[2].p, 0.0) << slope;
    EXPECT_TRUE(checks[2].is_abnormal) << slope;
  }
}

TEST(EntropyLaw, SaysWhatWasFittedAndWhyLossesAreUnchecked) {
  auto rows = rows_of(8, 0.1, 3);
  EXPECT_EQ(law_formula(*fit_entropy_law(rows, 0.95)), "score = a + b ln R + c loss");
  rows[1].loss.reset();
  EXPECT_EQ(law_formula(*fit_entropy_law(rows, 0.95)), "score = a + b ln R");
  EXPECT_TRUE(why_losses_are_unchecked(rows).starts_with("1 of 8 data sets have none"));
}

// Of tables without an abnormal loss at most one in twenty has a flag.
TEST(EntropyLaw, RarelyFlagsWhatIsOnlyChance) {
  int n_flagged = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto checks = check_losses(rows_of(8, 0.1, static_cast<std::uint64_t>(i)), 0.95);
    n_flagged += std::any_of(checks.begin(), checks.end(), [](const LossCheck& c) { return c.is_abnormal; }) ? 1 : 0;
  }
  EXPECT_LT(n_flagged, 50 + 4 * 7);
  EXPECT_GT(n_flagged, 20);
}

TEST(LawTable, ReadsColumnsByNameInAnyOrder) {
  const auto rows = parse_law_table("score,Dataset,note,R,loss\r\n5.5,\"a, b\",x,2.5,1.25\r\n\n6,c,,3,\n", "t.csv");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].name, "a, b");
  EXPECT_EQ(rows[0].ratio, 2.5);
  EXPECT_EQ(rows[0].loss, 1.25);
  EXPECT_FALSE(rows[1].loss);
}

TEST(LawTable, NamesWhatIsWrong) {
  for (const char* csv : {"name,score\na,1\n", "name,R,score\na,x,1\n", "name,R,score\na,1\n", "name,R,score\na,0,1\n",
                          "name,R,score\na,nan,1\n", ""})
    EXPECT_THROW(parse_law_table(csv, "t.csv"), Error) << csv;
}

}  // namespace
}  // namespace lmbits
