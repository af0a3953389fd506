#include "src/report/redundancy_map.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmbits {
namespace {

using Matrix = std::vector<std::vector<double>>;

TEST(RedundancyMap, SamplesThatExplainEachOtherStandSideBySide) {
  Matrix saved(6, std::vector<double>(6, 0.1));  // 0, 2, 4 are copies, 1, 3, 5 of one form
  for (const std::size_t i : {0u, 2u, 4u})
    for (const std::size_t j : {0u, 2u, 4u}) saved[i][j] = 0.9;
  for (const std::size_t i : {1u, 3u, 5u})
    for (const std::size_t j : {1u, 3u, 5u}) saved[i][j] = 0.5;
  const auto order = neighbourly_order(saved);
  std::vector<bool> is_copy;
  for (const std::size_t i : order) is_copy.push_back(i % 2 == 0);
  EXPECT_EQ(is_copy, (std::vector<bool>{true, true, true, false, false, false}));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(neighbourly_order({}).empty());
}

TEST(RedundancyMap, EveryPairHasACellThatSaysItsShare) {
  const std::string svg =
      draw_redundancy_map({"a", "<b>", "c"}, {{1, 0.5, 0}, {0.25, 1, 0}, {0.99, 0, 1}}).svg(Look::kLight);
  std::size_t n_tooltips = 0;
  for (std::size_t at = svg.find(" behind "); at != std::string::npos; at = svg.find(" behind ", at + 1)) ++n_tooltips;
  EXPECT_EQ(n_tooltips, 6u + 1u);  // and the key's text
  EXPECT_NE(svg.find("&lt;b&gt; behind a: 50 % saved"), std::string::npos);
  EXPECT_NE(svg.find("a behind c: 99 % saved"), std::string::npos);
}

TEST(RedundancyMap, ManySamplesAndNegativeSharesAreDrawn) {
  Matrix saved(100, std::vector<double>(100, -0.1));
  EXPECT_NO_THROW(
      draw_redundancy_map(std::vector<std::string>(100, "a rather long name of a sample"), saved).svg(Look::kLight));
}

}  // namespace
}  // namespace lmbits
