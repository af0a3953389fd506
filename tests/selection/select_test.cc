#include "src/selection/select.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/selection/checkpoint.h"
#include "src/selection/top_k.h"

namespace lmbits {
namespace {

std::vector<std::string> pool_of(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::string> pool;
  for (std::size_t i = 0; i < n; ++i) {
    std::string text;
    for (std::size_t k = 2 + random() % 40; k > 0; --k) text += "word" + std::to_string(random() % 97) + " ";
    pool.push_back(random() % 5 == 0 && i > 0 ? pool[random() % i] : text);
  }
  return pool;
}

SelectInput input_of(const std::vector<std::string>& pool) {
  SelectInput input;
  input.n_records = std::ssize(pool);
  input.text = [&pool](std::int64_t i) { return pool[static_cast<std::size_t>(i)]; };
  return input;
}

struct Outcome {
  SelectEnd end;
  SelectState state;
  std::vector<SelectState> saved;
  std::vector<std::int64_t> records() const {
    std::vector<std::int64_t> list;
    for (const Choice& c : state.choices) list.push_back(c.record);
    return list;
  }
};

Outcome run(const SelectInput& input, const CostModel& model, const SelectOptions& options, SelectState state = {}) {
  Outcome outcome{SelectEnd::kDone, std::move(state), {}};
  NoProgress progress;
  outcome.end =
      select(input, model, options, outcome.state, progress, [&](const SelectState& s) { outcome.saved.push_back(s); });
  return outcome;
}

const SelectOptions kSmall{.k1 = 40, .k2 = 12, .k3 = 5, .budget = 33};

SelectOptions small_as(SelectAlgorithm algorithm) {
  SelectOptions options = kSmall;
  options.algorithm = algorithm;
  return options;
}

TEST(Select, BlankTextsAreOfferedByTheReleasedCodeAlone) {
  auto pool = pool_of(60, 1);
  pool[7] = "", pool[9] = " \n";
  const auto input = input_of(pool);
  SelectOptions options = kSmall;
  for (const std::int64_t record : run(input, *make_deflate_cost(9, 1), options).records())
    EXPECT_TRUE(record != 7 && record != 9);
  options.algorithm = SelectAlgorithm::kZipReference;
  const auto chosen = run(input, *make_deflate_cost(9, 1), options).records();
  EXPECT_NE(std::find(chosen.begin(), chosen.end(), 7), chosen.end());
}

TEST(Select, ThreadsChangeNothing) {
  const auto pool = pool_of(150, 1);
  const auto input = input_of(pool);
  for (const SelectAlgorithm algorithm : {SelectAlgorithm::kZip, SelectAlgorithm::kZipReference}) {
    SelectOptions options = kSmall;
    options.algorithm = algorithm;
    const auto one = run(input, *make_deflate_cost(9, 1), options),
               many = run(input, *make_deflate_cost(9, 7), options);
    ASSERT_EQ(one.records(), many.records());
    for (std::size_t i = 0; i < one.state.choices.size(); ++i)
      EXPECT_EQ(one.state.choices[i].ratio_in_block, many.state.choices[i].ratio_in_block);
    const auto zstd_one = run(input, *make_zstd_cost(3, 1 << 16, 1), options),
               zstd_many = run(input, *make_zstd_cost(3, 1 << 16, 7), options);
    EXPECT_EQ(zstd_one.records(), zstd_many.records());
  }
}

// Threads that start late find no work left: here each of four has to take one text, so that every lane is used.
TEST(StoredSet, EveryThreadKnowsAllThatWasAppended) {
  const auto pool = pool_of(40, 14);
  const auto one_each = [&](StoredSet& set, std::int64_t n_waiting) {
    std::atomic<std::int64_t> n_here{0};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    return set.sizes_with(4, [&](std::int64_t i) {
      for (++n_here; n_here < n_waiting && std::chrono::steady_clock::now() < deadline;) std::this_thread::yield();
      return pool[static_cast<std::size_t>(i)];
    });
  };
  const auto check = [&](const CostModel& one_thread, const CostModel& four_threads) {
    const auto one = one_thread.empty_set(), four = four_threads.empty_set();
    for (std::size_t k = 4; k < pool.size(); ++k) {
      one->append(pool[k]);
      four->append(pool[k]);
      if (k % 3 == 2) continue;  // so that a lane is one or two texts behind
      const auto expected = one_each(*one, 1), found = one_each(*four, 4);
      for (std::size_t i = 0; i < 4; ++i) ASSERT_EQ(found[i].stored_bytes, expected[i].stored_bytes) << k << " " << i;
    }
  };
  check(*make_deflate_cost(9, 1), *make_deflate_cost(9, 4));
  check(*make_deflate_cost(9, 1, true), *make_deflate_cost(9, 4, true));
  check(*make_zstd_cost(3, 1 << 16, 1), *make_zstd_cost(3, 1 << 16, 4));
}

TEST(Select, CopiesOfZlibsStateGiveTheSameChoices) {
  const auto pool = pool_of(150, 2);
  const auto input = input_of(pool);
  EXPECT_EQ(run(input, *make_deflate_cost(9, 1), kSmall).records(),
            run(input, *make_deflate_cost(9, 1, true), kSmall).records());
}

TEST(Select, GoesOnFromEverySavedStateToTheSameEnd) {
  const auto pool = pool_of(120, 3);
  const auto input = input_of(pool);
  for (const SelectAlgorithm algorithm : {SelectAlgorithm::kZip, SelectAlgorithm::kZipReference}) {
    SelectOptions options = kSmall;
    options.algorithm = algorithm;
    const auto model = make_deflate_cost(9, 2);
    const auto whole = run(input, *model, options);
    ASSERT_GT(whole.saved.size(), 3u);
    EXPECT_LT(whole.saved.front().n_scored, input.n_records);  // within the first scoring
    for (const SelectState& state : whole.saved)
      EXPECT_EQ(run(input, *model, options, state).records(), whole.records());
  }
}

// Saved after every text, also within a stage; through a file and back.
TEST(Select, GoesOnFromWithinAStage) {
  const auto pool = pool_of(90, 21);
  const auto input = input_of(pool);
  const auto path = std::filesystem::temp_directory_path() / ("select_test_" + std::to_string(::getpid()));
  const Json identity = {{"pool", "this one"}};
  for (const auto& model : {make_deflate_cost(9, 2), make_zstd_cost(3, 1 << 16, 2)}) {
    for (const SelectAlgorithm algorithm : {SelectAlgorithm::kZip, SelectAlgorithm::kZipReference}) {
      SelectOptions options = kSmall;
      options.algorithm = algorithm;
      const auto whole = run(input, *model, options);
      options.batch_seconds = 0.0;
      const auto saved = run(input, *model, options).saved;
      std::size_t n_in_block = 0, n_rescoring = 0;
      for (std::size_t i = 0; i < saved.size(); i += 61) {
        const SelectStage& stage = saved[i].stage;
        n_in_block += !stage.members.empty();
        n_rescoring += stage.members.empty() && !stage.sizes.empty();
        write_checkpoint(path, identity, saved[i]);
        ASSERT_EQ(run(input, *model, small_as(algorithm), *read_checkpoint(path, identity)).records(), whole.records())
            << i;
      }
      EXPECT_GT(n_in_block, 2u);
      EXPECT_GT(n_rescoring, 2u);
    }
  }
  std::filesystem::remove(path);
}

// A text behind others takes a tenth of a second, as with a language model.
class SlowCost final : public CostModel {
 public:
  class Set final : public StoredSet {
   public:
    void append(std::string_view text) override { set_->append(text), ++n_; }
    std::vector<StoredSize> sizes_with(std::int64_t n, const TextOf& text) override {
      if (n_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100) * n);
      return set_->sizes_with(n, text);
    }

   private:
    std::unique_ptr<StoredSet> set_ = make_deflate_cost(9, 1)->empty_set();
    int n_ = 0;
  };
  std::unique_ptr<StoredSet> empty_set() const override { return std::make_unique<Set>(); }
  Json identity() const override { return "slow"; }
};

// In a process of its own: there is no way back from a stop.
TEST(SelectDeathTest, AStopActsWithinAStage) {
  EXPECT_EXIT(
      {
        const auto pool = pool_of(60, 22);
        SelectOptions options = kSmall;
        options.batch_seconds = 0.2;
        std::thread stopper([] {
          std::this_thread::sleep_for(std::chrono::milliseconds(400));
          request_stop();
        });
        const auto began = std::chrono::steady_clock::now();
        const auto outcome = run(input_of(pool), SlowCost(), options);  // 36 s without the stop
        stopper.join();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        const bool is_within = !outcome.state.stage.members.empty() && !outcome.state.choices.empty();
        std::exit(outcome.end == SelectEnd::kStopped && took.count() < 5.0 && is_within ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Select, MeetsTheBudgetExactlyAndChoosesNothingTwice) {
  const auto pool = pool_of(90, 4);
  const auto input = input_of(pool);
  for (const std::int64_t budget : {1, 4, 5, 6, 89, 90}) {
    SelectOptions options = kSmall;
    options.budget = budget;
    const auto records = run(input, *make_deflate_cost(9, 1), options).records();
    EXPECT_EQ(std::ssize(records), budget);
    EXPECT_EQ(std::set<std::int64_t>(records.begin(), records.end()).size(), records.size());
  }
}

TEST(Select, ReferenceModeOvershootsToWholeBlocks) {
  const auto pool = pool_of(90, 5);
  SelectOptions options = kSmall;
  options.algorithm = SelectAlgorithm::kZipReference;
  EXPECT_EQ(run(input_of(pool), *make_deflate_cost(9, 1), options).records().size(), 35u);
}

TEST(Select, ReferenceModeRefusesAPoolSmallerThanK1) {
  const auto pool = pool_of(39, 6);
  SelectOptions options = kSmall;
  options.algorithm = SelectAlgorithm::kZipReference;
  EXPECT_THROW(run(input_of(pool), *make_deflate_cost(9, 1), options), Error);
}

TEST(Select, TakesAllOfAPoolThatIsSmallerThanTheBudget) {
  for (const std::size_t n : {0u, 1u, 7u}) {
    const auto pool = pool_of(n, 7);
    const auto outcome = run(input_of(pool), *make_deflate_cost(9, 1), kSmall);
    EXPECT_EQ(outcome.end, SelectEnd::kPoolUsedUp);
    EXPECT_EQ(outcome.records().size(), n);
  }
}

TEST(Select, OfEqualSamplesTheFirstIsChosenFirst) {
  const std::vector<std::string> pool(30, "the same text everywhere");
  SelectOptions options = kSmall;
  options.budget = 30;
  const auto records = run(input_of(pool), *make_deflate_cost(9, 3), options).records();
  for (std::int64_t i = 0; i < 30; ++i) EXPECT_EQ(records[static_cast<std::size_t>(i)], i);
}

TEST(Select, ABudgetOfBytesIsNeverExceededAndFilledWhileAnythingFits) {
  const auto pool = pool_of(100, 8);
  SelectOptions options = kSmall;
  options.unit = SelectOptions::Unit::kBytes;
  options.budget = 5000;
  const auto outcome = run(input_of(pool), *make_deflate_cost(9, 1), options);
  std::int64_t used = 0;
  std::set<std::int64_t> chosen;
  for (const Choice& c : outcome.state.choices) {
    used += c.n_bytes;
    chosen.insert(c.record);
  }
  EXPECT_LE(used, 5000);
  for (std::size_t i = 0; i < pool.size(); ++i) {
    if (chosen.contains(static_cast<std::int64_t>(i))) continue;
    EXPECT_GT(used + std::ssize(pool[i]), 5000);
  }
}

TEST(Select, ABudgetOfTokensCountsThem) {
  const auto pool = pool_of(100, 9);
  SelectInput input = input_of(pool);
  input.tokens = [](const std::string& text) {
    return static_cast<std::int64_t>(std::count(text.begin(), text.end(), ' '));
  };
  SelectOptions options = kSmall;
  options.unit = SelectOptions::Unit::kTokens;
  options.budget = 200;
  std::int64_t used = 0;
  for (const Choice& c : run(input, *make_deflate_cost(9, 1), options).state.choices)
    used += input.tokens(pool[static_cast<std::size_t>(c.record)]);
  EXPECT_LE(used, 200);
  EXPECT_GT(used, 150);
}

TEST(Select, LeavesOutWhatIsTooShortOrTooLong) {
  const auto pool = pool_of(100, 10);
  SelectOptions options = kSmall;
  options.min_bytes = 60;
  options.max_bytes = 120;
  for (const Choice& c : run(input_of(pool), *make_deflate_cost(9, 1), options).state.choices) {
    EXPECT_GE(c.n_bytes, 60);
    EXPECT_LE(c.n_bytes, 120);
  }
}

TEST(Select, MinNewPassesOverCopiesOfWhatIsChosen) {
  auto pool = pool_of(60, 11);
  const std::vector<std::string> copies = pool;
  pool.insert(pool.end(), copies.begin(), copies.end());  // each at least twice
  SelectOptions options = kSmall;
  options.budget = 100;
  options.min_new = 0.3;
  std::set<std::string> texts;
  for (const std::int64_t record : run(input_of(pool), *make_deflate_cost(9, 1), options).records())
    EXPECT_TRUE(texts.insert(pool[static_cast<std::size_t>(record)]).second) << record;
}

// zlib's header and checksum are no text's: a short text all of which is new adds all that it needs.
TEST(Select, MinNewDoesNotCountWhatAnEmptySetNeeds) {
  std::mt19937 random(1);
  std::vector<std::string> pool;
  for (int i = 0; i < 30; ++i) {
    pool.emplace_back();
    for (int k = 0; k < 12; ++k) pool.back() += static_cast<char>('!' + random() % 90);
  }
  SelectOptions options = kSmall;
  options.budget = 30;
  options.min_new = 0.65;
  EXPECT_EQ(run(input_of(pool), *make_deflate_cost(9, 1), options).records().size(), 30u);
}

TEST(Select, AGroupGetsNoMoreThanItsRoom) {
  const auto pool = pool_of(100, 12);
  SelectInput input = input_of(pool);
  GroupRoom rooms{std::vector<std::int32_t>(100), {4, 10, 100}};
  for (std::size_t i = 0; i < 100; ++i) rooms.group_of[i] = static_cast<std::int32_t>(i % 3);
  input.groups = {rooms};
  std::vector<int> n_chosen(3);
  for (const std::int64_t record : run(input, *make_deflate_cost(9, 1), kSmall).records())
    ++n_chosen[static_cast<std::size_t>(record % 3)];
  EXPECT_EQ(n_chosen, (std::vector<int>{4, 10, 19}));
}

TEST(Select, ARecordThatCannotBeReadIsReportedAndLeftOut) {
  const auto pool = pool_of(50, 13);
  SelectInput input = input_of(pool);
  input.text = [&pool](std::int64_t i) -> std::string {
    if (i == 17) throw Error(ErrorKind::kData, "broken");
    return pool[static_cast<std::size_t>(i)];
  };
  const auto outcome = run(input, *make_deflate_cost(9, 4), kSmall);
  ASSERT_EQ(outcome.state.failures.size(), 1u);
  EXPECT_EQ(outcome.state.failures[0].record, 17);
  for (const std::int64_t record : outcome.records()) EXPECT_NE(record, 17);
}

TEST(TorchTopK, IsASortWhereNothingIsEqual) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<float>((i * 7919) % 1000));
  for (const std::int64_t k : {1, 15, 16, 500, 1000}) {
    const auto top = torch_top_k(values, k);
    for (std::int64_t i = 0; i < k; ++i)
      EXPECT_EQ(values[static_cast<std::size_t>(top[static_cast<std::size_t>(i)])], static_cast<float>(i));
  }
}

// What torch 2.13 gives for torch.topk(torch.tensor(values), k, largest=False) with these values.
TEST(TorchTopK, BreaksTiesAsTorchDoes) {
  std::vector<float> values;
  for (int i = 0; i < 40; ++i) values.push_back(static_cast<float>(i * i % 7));
  EXPECT_EQ(torch_top_k(values, 10), (std::vector<std::int64_t>{7, 14, 21, 28, 0, 35, 36, 22, 20, 15}));
  values.assign(200, 1.0f);
  EXPECT_EQ(torch_top_k(values, 3), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(torch_top_k(values, 8), (std::vector<std::int64_t>{131, 137, 136, 135, 134, 133, 132, 128}));
}

}  // namespace
}  // namespace lmbits
