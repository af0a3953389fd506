#include "src/scoring/conditional_bits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/selection/cost_model.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

std::string text(std::size_t n, unsigned seed) {
  std::string result;
  for (std::size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    result.push_back(" etaoin shrdlu,.\n"[(seed >> 24) % 17]);
  }
  return result;
}

class Conditional : public ::testing::Test {
 protected:
  std::string toy() { return testing::write_toy_bundle(folder_ / "toy.pt", {.context = 64}); }
  testing::TemporaryFolder folder_;
};

TEST_F(Conditional, EveryTokenOfATextIsCountedOnceAndNoneOfTheContext) {
  const auto bits = open_conditional_bits("uniform:300", 2);
  const double per_byte = bits->bits("", {text(1, 1)})[0];
  EXPECT_NEAR(per_byte, std::log2(300), 1e-9);
  std::vector<std::string> texts;
  for (const std::size_t n : {0u, 1u, 31u, 32u, 33u, 1000u, 2047u, 2048u, 2049u, 5000u, 9001u})
    texts.push_back(text(n, 2));
  for (const std::size_t n_context : {0u, 1u, 500u, 1024u, 3000u, 100000u}) {
    const auto all = bits->bits(text(n_context, 3), texts);
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_NEAR(all[i], per_byte * static_cast<double>(texts[i].size()), 1e-6) << n_context << " " << texts[i].size();
  }
}

// log p(ab) = log p(a) + log p(b | a), as long as both fit the context.
TEST_F(Conditional, BitsBehindAContextAreThoseOfBothLessThoseOfTheContext) {
  const auto bits = open_conditional_bits(toy(), 1);
  for (const std::size_t n : {1u, 10u, 30u}) {
    const std::string a = text(n, 4), b = text(33, 5);
    const auto alone = bits->bits("", {a, a + b});
    EXPECT_NEAR(bits->bits(a, {b})[0], alone[1] - alone[0], 1e-4 * alone[1]) << n;
  }
}

TEST_F(Conditional, OnlyTheEndOfALongContextCounts) {
  const auto bits = open_conditional_bits(toy(), 1);
  const std::string end = text(200, 6), b = text(40, 7);
  EXPECT_EQ(bits->bits(text(1000, 8) + end, {b}), bits->bits(text(500, 9) + end, {b}));
  EXPECT_NE(bits->bits("", {b}), bits->bits(end, {b}));
}

TEST_F(Conditional, CompanyAndThreadsChangeNothing) {
  std::vector<std::string> texts;
  for (unsigned i = 0; i < 40; ++i) texts.push_back(text(7 * i % 150, i));
  const auto one = open_conditional_bits(toy(), 1), many = open_conditional_bits(toy(), 3);
  const auto all = one->bits(text(50, 1), texts);
  EXPECT_EQ(all, many->bits(text(50, 1), texts));
  for (std::size_t i = 0; i < texts.size(); ++i)
    EXPECT_NEAR(all[i], one->bits(text(50, 1), {texts[i]})[0], 1e-5 * all[i] + 1e-9);
}

TEST_F(Conditional, TheModelsSetAddsUpWhatItsTextsNeeded) {
  const auto model = make_model_cost(open_conditional_bits("uniform:256", 1));
  const auto set = model->empty_set();
  set->append(text(100, 1));
  set->append(text(50, 2));
  const StoredSize size = set->sizes_with(1, [](std::int64_t) { return text(25, 3); })[0];
  EXPECT_EQ(size.raw_bytes, 175);
  EXPECT_NEAR(size.stored_bytes, 175.0, 1e-6);
}

}  // namespace
}  // namespace lmbits
