#include "src/conventions/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "src/core/error.h"

namespace lmbits {
namespace {

using Ids = std::vector<int>;
constexpr int kBos = -1;

// One scored token: where it stands in the text, and every id that the model saw before it, in order. Two plans agree
// when these lists do, whatever else they feed.
struct Scored {
  int token;
  Ids context;
  bool operator==(const Scored&) const = default;
};
using Scores = std::vector<Scored>;

std::ostream& operator<<(std::ostream& out, const Scored& s) {
  return out << "t[" << s.token << "] after " << testing::PrintToString(s.context);
}

// Token i of the text is the number i.
Ids text(int n) {
  Ids ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

Ids slice(const Ids& ids, int begin, int end) { return Ids(ids.begin() + begin, ids.begin() + end); }
int size(const Ids& ids) { return static_cast<int>(ids.size()); }

Ids concat(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What a forward pass over `input` says of the token after row `row`.
Scored read_row(const Ids& input, int row, int token) { return {token, slice(input, 0, row + 1)}; }

// Runs a plan over x as Window promises it.
Scores run(const std::vector<Window>& windows, const Ids& x) {
  Scores scores;
  for (const Window& w : windows) {
    Ids input = slice(x, static_cast<int>(w.begin), static_cast<int>(w.end));
    if (w.lead == Lead::kReplaced) input.at(0) = kBos;
    if (w.lead == Lead::kInserted) input.insert(input.begin(), kBos);
    EXPECT_EQ(w.n_fed(), size(input));
    for (std::int64_t i = w.score_begin; i < w.score_end; ++i) {
      const int row = static_cast<int>(w.row_of(i));
      EXPECT_LT(row, size(input)) << "reads a row that was not fed";
      scores.push_back(read_row(input, row, x.at(static_cast<std::size_t>(i))));
    }
  }
  return scores;
}

Convention make(const std::string& name, std::int64_t window, std::int64_t stride = 0, const std::string& bos = "7",
                const std::string& mode = "add_bos") {
  ConventionOptions options;
  options.name = name;
  options.window = window;
  if (stride > 0) options.stride = stride;
  options.bos = bos;
  options.uncheatable_mode = mode;
  return resolve_convention(options, {.context_length = 1 << 20, .n_ids = 1000, .n_predicted = 1000});
}

Scores run(const Convention& c, const Ids& x) { return run(plan(c, size(x)), x); }

Ids tokens_of(const Scores& scores) {
  Ids tokens;
  for (const Scored& s : scores) tokens.push_back(s.token);
  return tokens;
}

// The oracles below say each convention again, one index at a time, with no window arithmetic shared with plan.cc.

Scores default_oracle(const Ids& x, int length, int stride) {
  const int n = size(x);
  Scores scores;
  std::set<int> scored{0};  // x[0] is never a target
  for (int k = 0; static_cast<int>(scored.size()) < n; ++k) {
    const Ids input = slice(x, k * stride, std::min(k * stride + length, n - 1));
    for (int row = 0; row < size(input); ++row) {
      const int target = k * stride + row + 1;
      if (scored.insert(target).second) scores.push_back(read_row(input, row, x[static_cast<std::size_t>(target)]));
    }
  }
  return scores;
}

Scores lm_eval_oracle(int n, int length) {
  const Ids t = text(n);
  Scores scores;
  if (n == 0) return scores;
  const int first = std::min(length, n);
  const Ids first_input = concat({kBos}, slice(t, 0, first - 1));
  for (int j = 0; j < first; ++j) scores.push_back(read_row(first_input, j, j));
  for (int predicted = first; predicted < n;) {
    const int k = std::min(n - predicted, length);
    const int e = predicted + k;
    const Ids input = slice(t, e - length - 1, e - 1);
    for (int j = 0; j < k; ++j) scores.push_back(read_row(input, size(input) - k + j, e - k + j));
    predicted += k;
  }
  return scores;
}

Scores hkust_oracle(const Ids& x, int block, int stride) {
  Scores scores;
  for (int i = 0; stride * i + block + 1 <= size(x); ++i) {
    const Ids piece = slice(x, stride * i, stride * i + block + 1);
    const Ids input = slice(piece, 0, block);
    const Ids targets = slice(piece, 1, block + 1);
    for (int j = (i == 0 ? 0 : block - stride); j < block; ++j) {
      scores.push_back(read_row(input, j, targets[static_cast<std::size_t>(j)]));
    }
  }
  return scores;
}

Scores llama_oracle(const Ids& x, int c, bool add_bos) {
  Scores scores;
  if (size(x) < 2 * c) return scores;
  for (int i = 0; i < size(x) / c; ++i) {
    const Ids chunk = slice(x, i * c, (i + 1) * c);
    Ids input = chunk;
    if (add_bos) input[0] = kBos;
    for (int j = c / 2; j <= c - 2; ++j) {
      scores.push_back(read_row(input, j, chunk[static_cast<std::size_t>(j) + 1]));
    }
  }
  return scores;
}

Scores gptq_oracle(const Ids& x, int length) {
  Scores scores;
  for (int i = 0; i < size(x) / length; ++i) {
    const Ids input = slice(x, i * length, (i + 1) * length);
    for (int j = 0; j + 1 < length; ++j) scores.push_back(read_row(input, j, input[static_cast<std::size_t>(j) + 1]));
  }
  return scores;
}

Scores uncheatable_oracle(int n, int chunk_size, bool replace) {
  Scores scores;
  for (int begin = 0; begin < n; begin += chunk_size) {
    const Ids chunk = slice(text(n), begin, std::min(begin + chunk_size, n));
    Ids input = replace ? chunk : concat({kBos}, chunk);
    if (replace) input[0] = kBos;
    for (int row = 0; row + 1 < size(input); ++row) {
      scores.push_back(read_row(input, row, input[static_cast<std::size_t>(row) + 1]));
    }
  }
  return scores;
}

// A chunk by itself: all that stands before, as long as a window holds it; from there on, the last ids of a window that
// begins at a multiple of half of it (at least one).
Scores lmic_oracle(const Ids& x, int chunk) {
  const int step = std::max(1, chunk / 2);
  Scores scores;
  for (int target = 1; target < size(x); ++target) {
    int begin = 0;
    while (target - begin > chunk) begin += step;
    scores.push_back({x[static_cast<std::size_t>(target)], slice(x, begin, target)});
  }
  return scores;
}

// All small cases: as many windows as one likes, shorter, equal to and longer than the text.
constexpr int kMaxIds = 40;
constexpr int kMaxWindow = 11;

TEST(PlanDefault, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int length = 1; length <= kMaxWindow; ++length) {
      for (int stride = 1; stride <= length; ++stride) {
        SCOPED_TRACE(testing::Message() << "n=" << n << " L=" << length << " s=" << stride);
        const Ids with_bos = concat({kBos}, text(n));
        ASSERT_EQ(run(make("default", length, stride), with_bos), default_oracle(with_bos, length, stride));
        ASSERT_EQ(run(make("default", length, stride, "none"), text(n)), default_oracle(text(n), length, stride));
      }
    }
  }
}

TEST(PlanDefault, ScoresEveryTokenExactlyOnceInOrder) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int length = 1; length <= kMaxWindow; ++length) {
      for (int stride = 1; stride <= length; ++stride) {
        ASSERT_EQ(tokens_of(run(make("default", length, stride), concat({kBos}, text(n)))), text(n));
      }
    }
  }
}

TEST(PlanDefault, GivesEachTokenTheContextItPromisesAndNoWindowMoreThanL) {
  for (int n = 1; n <= kMaxIds; ++n) {
    for (int length = 1; length <= kMaxWindow; ++length) {
      for (int stride = 1; stride <= length; ++stride) {
        const Convention c = make("default", length, stride);
        for (const Window& w : plan(c, n)) ASSERT_LE(w.n_fed(), length);
        for (const Scored& s : run(c, concat({kBos}, text(n - 1)))) {
          ASSERT_GE(size(s.context), std::min(s.token + 1, length - stride + 1));
        }
      }
    }
  }
}

TEST(PlanDefault, CannotScoreTheFirstTokenWithoutBos) {
  const Convention c = make("default", 4, 2, "none");
  EXPECT_TRUE(plan(c, 0).empty());
  EXPECT_TRUE(plan(c, 1).empty());
  EXPECT_EQ(tokens_of(run(c, text(6))), (Ids{1, 2, 3, 4, 5}));
}

TEST(PlanDefault, CutsSixHundredTokensAsDocumented) {
  std::vector<std::pair<std::int64_t, std::int64_t>> tokens;
  for (const Window& w : plan(make("default", 256, 128), 601)) tokens.emplace_back(w.score_begin - 1, w.score_end - 1);
  EXPECT_EQ(tokens, (std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 256}, {256, 384}, {384, 512}, {512, 600}}));
}

TEST(PlanDefault, HandlesTheShortestDocuments) {
  const Convention c = make("default", 4, 2);
  EXPECT_TRUE(plan(c, 1).empty());  // an empty document: BOS alone
  EXPECT_EQ(plan(c, 2), (std::vector<Window>{{0, 1, 1, 2}}));
  EXPECT_EQ(plan(c, 3), (std::vector<Window>{{0, 2, 1, 3}}));
}

TEST(PlanLmEval, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int length = 1; length <= kMaxWindow; ++length) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " L=" << length);
      ASSERT_EQ(run(make("lm-eval", length), concat({kBos}, text(n))), lm_eval_oracle(n, length));
    }
  }
}

TEST(PlanLmEval, ScoresEveryTokenExactlyOnceWithOneTokenOfContextAtEachFullWindow) {
  for (int n = 1; n <= kMaxIds; ++n) {
    for (int length = 1; length <= kMaxWindow; ++length) {
      const Convention c = make("lm-eval", length);
      const Scores scores = run(c, concat({kBos}, text(n)));
      ASSERT_EQ(tokens_of(scores), text(n));
      for (const Window& w : plan(c, n + 1)) {
        ASSERT_LE(w.n_fed(), length);
        const Scored& first = scores[static_cast<std::size_t>(w.score_begin - 1)];
        const bool short_tail = w.n_scored() < length && w.begin > 0;
        ASSERT_EQ(size(first.context), short_tail ? length - w.n_scored() + 1 : 1);
      }
    }
  }
}

TEST(PlanLmEval, CutsFortyFiveHundredTokensAsDocumented) {
  const std::vector<Window> windows = plan(make("lm-eval", 2048), 4501);
  ASSERT_EQ(windows.size(), 3U);
  const std::int64_t first_targets[] = {0, 2048, 4096};
  const std::int64_t contexts[] = {1, 1, 1645};
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(windows[k].score_begin - 1, first_targets[k]);
    EXPECT_EQ(windows[k].score_begin - windows[k].begin, contexts[k]);
  }
  EXPECT_EQ(windows[2].score_end - 1, 4500);
}

TEST(PlanLmEval, HasNoTailWhereTheTokensFillTheWindows) {
  const std::vector<Window> windows = plan(make("lm-eval", 4), 13);  // 12 tokens
  EXPECT_EQ(windows, (std::vector<Window>{{0, 4, 1, 5}, {4, 8, 5, 9}, {8, 12, 9, 13}}));
}

TEST(PlanHkust, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int block = 1; block <= kMaxWindow; ++block) {
      for (int stride = 1; stride <= block; ++stride) {
        SCOPED_TRACE(testing::Message() << "N=" << n << " block=" << block << " s=" << stride);
        ASSERT_EQ(run(make("hkust", block, stride), text(n)), hkust_oracle(text(n), block, stride));
      }
    }
  }
}

TEST(PlanHkust, DropsTheFirstIdAndLessThanAStrideOfTheTail) {
  for (int block = 1; block <= kMaxWindow; ++block) {
    for (int stride = 1; stride <= block; ++stride) {
      const Convention c = make("hkust", block, stride);
      for (int n = block + 1; n <= kMaxIds; ++n) {
        const Ids scored = tokens_of(run(c, text(n)));
        const auto m = static_cast<int>(n_windows(c, n));
        ASSERT_EQ(size(scored), block + stride * (m - 1));
        ASSERT_EQ(scored, slice(text(n), 1, 1 + size(scored)));
        ASSERT_LT(n - 1 - size(scored), stride);
      }
    }
  }
}

TEST(PlanHkust, KeepsItsPublishedCounts) {
  const Convention c = make("hkust", 1900);
  const std::int64_t n = 1'000'000;
  const std::vector<Window> windows = plan(c, n);
  EXPECT_EQ(static_cast<std::int64_t>(windows.size()), (n - 1901) / 512 + 1);
  std::int64_t fed = 0, scored = 0, least = 1900, most = 0;
  for (const Window& w : windows) {
    fed += w.n_fed();
    scored += w.n_scored();
    ASSERT_EQ(w.n_fed(), 1900);
    if (w.begin > 0) {
      least = std::min(least, w.row_of(w.score_begin) + 1);
      most = std::max(most, w.row_of(w.score_end - 1) + 1);
    }
  }
  EXPECT_EQ(scored, 1900 + 512 * (static_cast<std::int64_t>(windows.size()) - 1));
  EXPECT_NEAR(static_cast<double>(fed) / static_cast<double>(scored), 3.71, 0.01);
  EXPECT_EQ(least, 1389);
  EXPECT_EQ(most, 1900);
}

TEST(PlanHkust, HasNoWindowBelow1901IdsAndSaysSo) {
  const Convention c = make("hkust", 1900);
  EXPECT_TRUE(plan(c, 1900).empty());
  EXPECT_EQ(plan(c, 1901).size(), 1U);
  EXPECT_NO_THROW(require_windows(c, 1901));
  try {
    require_windows(c, 1900);
    FAIL() << "a stream without a window was let through";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_NE(std::string(error.what()).find("1901"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("1900"), std::string::npos);
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(PlanLlamaPpl, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= 3 * kMaxWindow; ++n) {
    for (int chunk = 3; chunk <= kMaxWindow; ++chunk) {
      SCOPED_TRACE(testing::Message() << "N=" << n << " c=" << chunk);
      const Ids with_bos = concat({kBos}, text(n));
      ASSERT_EQ(run(make("llama-ppl", chunk), with_bos), llama_oracle(with_bos, chunk, true));
      ASSERT_EQ(run(make("llama-ppl", chunk, 0, "none"), text(n)), llama_oracle(text(n), chunk, false));
    }
  }
}

TEST(PlanLlamaPpl, Scores255OfEach512AndDropsTheTail) {
  const Convention c = make("llama-ppl", 512);
  const std::vector<Window> windows = plan(c, 2047);
  ASSERT_EQ(windows.size(), 3U);  // 511 ids of tail
  for (const Window& w : windows) EXPECT_EQ(w.n_scored(), 255);
  EXPECT_EQ(n_windows(c, 1023), 0);
  EXPECT_EQ(n_windows(c, 1024), 2);
}

TEST(PlanGptq, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int length = 2; length <= kMaxWindow; ++length) {
      SCOPED_TRACE(testing::Message() << "N=" << n << " L=" << length);
      ASSERT_EQ(run(make("gptq", length, 0, "auto"), text(n)), gptq_oracle(text(n), length));
    }
  }
}

TEST(PlanGptq, GivesAllWindowsEqualCounts) {  // so that the mean of window means is the mean
  for (const Window& w : plan(make("gptq", 7), 100)) EXPECT_EQ(w.n_scored(), 6);
}

TEST(PlanUncheatable, MatchesTheSpecificationIndexByIndexInBothModes) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int chunk = 1; chunk <= kMaxWindow; ++chunk) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " chunk=" << chunk);
      ASSERT_EQ(run(make("uncheatable", chunk), text(n)), uncheatable_oracle(n, chunk, false));
      if (chunk == 1) continue;  // replace_bos: refused, as nothing would be left
      ASSERT_EQ(run(make("uncheatable", chunk, 0, "7", "replace_bos"), text(n)), uncheatable_oracle(n, chunk, true));
    }
  }
}

TEST(PlanUncheatable, AddBosScoresEveryTokenOnceAndReplaceBosAllButOneAChunk) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int chunk = 2; chunk <= kMaxWindow; ++chunk) {
      ASSERT_EQ(tokens_of(run(make("uncheatable", chunk), text(n))), text(n));
      const Scores replaced = run(make("uncheatable", chunk, 0, "7", "replace_bos"), text(n));
      ASSERT_EQ(static_cast<int>(replaced.size()), n - (n + chunk - 1) / chunk);
      for (const Scored& s : replaced) {
        const int overwritten = s.token / chunk * chunk;
        ASSERT_EQ(std::count(s.context.begin(), s.context.end(), overwritten), 0);
      }
    }
  }
}

TEST(PlanLmic, MatchesTheSpecificationIndexByIndex) {
  for (int n = 0; n <= kMaxIds; ++n) {
    for (int chunk = 1; chunk <= kMaxWindow; ++chunk) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " W=" << chunk);
      const Ids with_bos = concat({kBos}, text(n));
      ASSERT_EQ(run(make("lmic", chunk), with_bos), lmic_oracle(with_bos, chunk));
      ASSERT_EQ(run(make("lmic", chunk, 0, "none"), text(n)), lmic_oracle(text(n), chunk));
    }
  }
}

// As every chunk is whose tokens are a byte or more: nothing of it is left out, nothing else is seen.
TEST(PlanLmic, AChunkOfNoMoreIdsThanTheWindowIsScoredWholeFromItsOwnBeginning) {
  for (int chunk = 1; chunk <= kMaxWindow; ++chunk) {
    for (int n = 1; n <= chunk; ++n) {
      const Ids with_bos = concat({kBos}, text(n));
      ASSERT_EQ(n_windows(make("lmic", chunk), n + 1), 1);
      const Scores scores = run(make("lmic", chunk), with_bos);
      ASSERT_EQ(tokens_of(scores), text(n));
      for (const Scored& s : scores) ASSERT_EQ(s.context, slice(with_bos, 0, s.token + 1));
    }
  }
}

TEST(PlanLmic, AChunkOfMoreIdsIsScoredOnceWithHalfAWindowOfContext) {
  for (int chunk = 1; chunk <= kMaxWindow; ++chunk) {
    for (int n = chunk + 1; n <= kMaxIds; ++n) {
      const Scores scores = run(make("lmic", chunk), concat({kBos}, text(n)));
      ASSERT_EQ(tokens_of(scores), text(n));
      for (const Scored& s : scores) {
        ASSERT_GE(size(s.context), std::min(s.token + 1, chunk - chunk / 2));
        ASSERT_LE(size(s.context), chunk);
      }
    }
  }
}

TEST(PlanLmic, ScoresAChunkInOneWindow) {
  const Convention c = make("lmic", 2048);
  EXPECT_EQ(plan(c, 2049), (std::vector<Window>{{0, 2048, 1, 2049}}));  // 2048 bytes, an id each, after BOS
  EXPECT_EQ(plan(c, 600), (std::vector<Window>{{0, 599, 1, 600}}));
}

TEST(PlanLmic, SlidesWhereATokenizerMakesMoreIdsThanBytes) {
  const std::vector<Window> windows = plan(make("lmic", 2048), 2051);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1], (Window{1024, 2050, 2049, 2051}));
}

// What holds for all of them, and what callers rely on.
std::vector<Convention> every_convention(int window) {
  return {make("default", window),   make("default", window, 1, "none"),
          make("lm-eval", window),   make("hkust", window, std::max(1, window / 3)),
          make("llama-ppl", window), make("llama-ppl", window, 0, "none"),
          make("gptq", window),      make("uncheatable", window),
          make("lmic", window),      make("uncheatable", window, 0, "7", "replace_bos")};
}

TEST(Plan, EveryWindowFeedsAndScoresWithinXAndWithinTheWindow) {
  for (int window = 3; window <= kMaxWindow; ++window) {
    for (const Convention& c : every_convention(window)) {
      for (int n = 0; n <= kMaxIds; ++n) {
        SCOPED_TRACE(testing::Message() << c.name << " W=" << window << " n=" << n);
        std::int64_t scored_to = 0;
        for (const Window& w : plan(c, n)) {
          ASSERT_GE(w.begin, 0);
          ASSERT_LE(w.end, n);
          ASSERT_GE(w.n_fed(), 1);
          ASSERT_LE(w.n_fed(), window);
          ASSERT_GE(w.n_scored(), 1);
          ASSERT_GE(w.score_begin, scored_to);
          ASSERT_GE(w.row_of(w.score_begin), 0);
          ASSERT_LT(w.row_of(w.score_end - 1), w.n_fed());
          ASSERT_LE(w.score_end, n);
          scored_to = w.score_end;
        }
      }
    }
  }
}

TEST(Plan, MinIdsIsWhereTheFirstWindowAppears) {
  for (int window = 3; window <= kMaxWindow; ++window) {
    for (const Convention& c : every_convention(window)) {
      for (int n = 0; n <= kMaxIds; ++n) {
        ASSERT_EQ(plan(c, n).empty(), n < min_ids(c)) << c.name << " W=" << window << " n=" << n;
      }
    }
  }
}

TEST(Plan, AnyWindowCanBeAskedForAlone) {
  for (const Convention& c : every_convention(5)) {
    const std::vector<Window> windows = plan(c, 50);
    ASSERT_EQ(static_cast<std::int64_t>(windows.size()), n_windows(c, 50));
    for (std::size_t k = 0; k < windows.size(); ++k) {
      EXPECT_EQ(window_at(c, 50, static_cast<std::int64_t>(k)), windows[k]);
    }
    EXPECT_THROW(window_at(c, 50, n_windows(c, 50)), std::logic_error);
  }
}

TEST(Plan, CountsWindowsOfAHugeDocumentWithoutListingThem) {
  const Convention c = make("default", 2048);
  const std::int64_t n = std::int64_t{1} << 40;
  const std::int64_t last = n_windows(c, n) - 1;
  EXPECT_EQ(window_at(c, n, last).score_end, n);
  EXPECT_EQ(window_at(c, n, last).score_begin, window_at(c, n, last - 1).score_end);
}

}  // namespace
}  // namespace lmbits
