#include "src/scoring/hand_out.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <queue>
#include <random>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/scoring/work_together.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

class ListReader final : public CorpusReader {
 public:
  explicit ListReader(const std::vector<std::int64_t>& n_bytes) : n_bytes_(n_bytes) {}
  std::optional<Document> next() override {
    if (at_ == n_bytes_.size()) return std::nullopt;
    Document document;
    document.id = std::to_string(at_);
    document.bytes.assign(static_cast<std::size_t>(n_bytes_[at_++]), 'x');
    return document;
  }

 private:
  const std::vector<std::int64_t>& n_bytes_;
  std::size_t at_ = 0;
};

struct Design {
  std::vector<std::int64_t> n_bytes;
  std::vector<bool> todo;
};

// Lengths as texts have them: log-normal, empty ones among them.
Design random_design(std::size_t n, unsigned seed) {
  std::mt19937 draw(seed);
  std::lognormal_distribution<double> length(5.0, 2.0);
  Design design;
  for (std::size_t i = 0; i < n; ++i) {
    design.n_bytes.push_back(draw() % 20 == 0 ? 0 : static_cast<std::int64_t>(length(draw)));
    design.todo.push_back(draw() % 4 != 0);
  }
  return design;
}

TEST(PlanWork, EveryDocumentIsInExactlyOneBlockWhoeverTakesIt) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const int n_workers = 1 + static_cast<int>(seed % 7);
    const Design design = random_design(1 + 37 * seed, seed);
    const WorkPlan plan = plan_from_bytes(to_bytes(plan_work(design.n_bytes, design.todo, n_workers)));
    std::int64_t next = 0;
    std::mt19937 draw(seed);
    std::vector<std::unique_ptr<CorpusReader>> workers;
    for (int w = 0; w < n_workers; ++w) {
      workers.push_back(
          hand_out([&] { return std::make_unique<ListReader>(design.n_bytes); }, plan, [&next] { return next++; }));
    }
    std::vector<int> seen(design.n_bytes.size(), 0);
    while (!workers.empty()) {
      const std::size_t w = draw() % workers.size();
      if (const auto document = workers[w]->next()) {
        ++seen[std::stoul(document->id)];
      } else {
        workers.erase(workers.begin() + static_cast<std::ptrdiff_t>(w));
      }
    }
    for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], design.todo[i] ? 1 : 0) << seed << " " << i;
  }
}

TEST(PlanWork, EqualWorkersEndWithin512thOfAShareOrALongestDocument) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const int n_workers = 2 + static_cast<int>(seed % 9);
    Design design = random_design(20000, seed);
    if (seed % 3 == 0) std::sort(design.n_bytes.begin(), design.n_bytes.end());  // the long ones last in the file
    const WorkPlan plan = plan_work(design.n_bytes, design.todo, n_workers);
    std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> free_at;
    for (int w = 0; w < n_workers; ++w) free_at.push(0);
    std::int64_t total = 0, longest = 0;
    for (const WorkBlock& block : plan.blocks) {
      const std::int64_t start = free_at.top();
      free_at.pop();
      free_at.push(start + block.n_bytes);
      total += block.n_bytes;
    }
    for (std::size_t i = 0; i < design.n_bytes.size(); ++i)
      if (design.todo[i]) longest = std::max(longest, design.n_bytes[i]);
    std::int64_t last = 0;
    while (!free_at.empty()) {
      last = free_at.top();
      free_at.pop();
    }
    const std::int64_t share = total / n_workers;
    EXPECT_LE(last, std::max(share + share / 512 + 2, longest)) << seed;
    EXPECT_LT(plan.blocks.size(), static_cast<std::size_t>(60 * n_workers)) << seed;
  }
}

TEST(PlanWork, LongDocumentsComeFirst) {
  const WorkPlan plan = plan_work({10, 10, 5000, 10, 6000}, {true, true, true, true, true}, 2);
  ASSERT_GE(plan.blocks.size(), 3U);
  EXPECT_EQ(plan.blocks[0].n_bytes, 5000);
  EXPECT_EQ(plan.blocks[1].n_bytes, 6000);
  EXPECT_EQ(plan.blocks[0].end, 3);
}

// What a team of two makes of five documents, whose second worker never comes, when each round scores `n_a_round` of them.
class ScoreTogether : public ::testing::Test {
 protected:
  bool work(int n_a_round) {
    WorkerPlace place;
    place.n_workers = 2;
    place.host = "127.0.0.1";
    Team team(place, {.heartbeat_s = 0.05, .dead_s = 1.0, .start_s = 0.2});
    SharedRun run;
    run.work = "work";
    run.path = folder_ / "run";
    run.manifest = {{"identity", {{"model", "m"}}}};
    run.open = [this] { return std::make_unique<ListReader>(n_bytes_); };
    run.finish_known = [] { return false; };
    run.score = [&](RunWriter& writer, const std::function<std::unique_ptr<CorpusReader>()>& open_some) {
      ++n_rounds_;
      const auto reader = open_some();
      for (int n = 0; const std::optional<Document> document = reader->next(); ++n) {
        if (n == n_a_round) break;
        DocumentRecord record;
        record.id = document->id;
        writer.append(record);
      }
      return Json::object();
    };
    run.complete = [](RunWriter&, const Json&) { return true; };
    return score_together(team, run);
  }

  testing::TemporaryFolder folder_;
  const std::vector<std::int64_t> n_bytes_ = {1, 1, 1, 1, 1};
  int n_rounds_ = 0;
};

TEST_F(ScoreTogether, GoesOnWhileRoundsLeaveRecords) {
  EXPECT_TRUE(work(1));
  EXPECT_EQ(n_rounds_, 5);
  EXPECT_EQ(read_run(folder_ / "run").records.size(), 5u);
}

TEST_F(ScoreTogether, EndsWhereRoundsLeaveNone) {
  try {
    work(0);
    FAIL() << "it went on";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_STREQ(e.what(), "3 rounds of work left no record of 5 documents, 0 for one");
  }
  EXPECT_EQ(n_rounds_, 3);
}

}  // namespace
}  // namespace lmbits
