#include "src/core/suggest.h"

#include <gtest/gtest.h>

namespace lmbits {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("model", "modle"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // the restricted form: no edit between swapped neighbours
}

TEST(EditDistance, IsSymmetricAndObeysTheBoundsOfALength) {
  const std::vector<std::string> words = {"", "a", "ab", "ba", "model", "modle", "corpus", "corpora", "split", "slip"};
  for (const auto& a : words) {
    for (const auto& b : words) {
      const std::size_t d = edit_distance(a, b);
      EXPECT_EQ(d, edit_distance(b, a)) << a << " " << b;
      EXPECT_LE(d, std::max(a.size(), b.size()));
      EXPECT_GE(d, std::max(a.size(), b.size()) - std::min(a.size(), b.size()));
      EXPECT_EQ(d == 0, a == b);
    }
  }
}

TEST(NearestName, FindsTyposAndBeginnings) {
  const std::vector<std::string> known = {"--corpus", "--model", "--split", "--codec", "--dictionary"};
  EXPECT_EQ(nearest_name("--modle", known), "--model");
  EXPECT_EQ(nearest_name("--corpsu", known), "--corpus");
  EXPECT_EQ(nearest_name("--dict", known), "--dictionary");
  EXPECT_EQ(nearest_name("--model", known), "--model");
}

TEST(NearestName, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("--zzzzzz", {"--model", "--split"}), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(Suggestion, ListsWhatIsKnownWhereNothingIsNear) {
  EXPECT_EQ(suggestion("modle", {"model", "corpus"}), "did you mean model?");
  EXPECT_EQ(suggestion("zzzz", {"model", "corpus"}), "known: model, corpus");
}

}  // namespace
}  // namespace lmbits
