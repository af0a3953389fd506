// A thousand nights in which nothing changed: how often does one raise an alarm?
#include <gtest/gtest.h>

#include <iostream>

#include "src/nightly/judge.h"
#include "tests/nightly/nights.h"

namespace lmbits {
namespace {

// Three checkpoints a night, each against the one before, on two corpora of 60 and 150 documents. Every model's bits are
// drawn around the same expectation, so every alarm is false. 0.05 x 1000 = 50; 67 is the binomial 99 % bound.
TEST(NullNights, RaiseNoMoreAlarmsThanStated) {
  constexpr int kNights = 1000;
  constexpr double kAlpha = 0.05;
  int n_alarms = 0;
  for (int night = 0; night < kNights; ++night) {
    Random random(20260101, static_cast<std::uint64_t>(night));
    const std::vector<testing::Texts> texts = {testing::make_texts("prose", 60, random),
                                               testing::make_texts("code", 150, random)};
    std::vector<std::vector<lmbits::Run>> models;
    for (int step = 1; step <= 4; ++step) {
      models.emplace_back();
      for (const testing::Texts& of_corpus : texts) {
        models.back().push_back(testing::make_night_run("run-" + std::to_string(step), step, of_corpus, 0.0, random));
      }
    }
    bool alarm = false;
    for (std::size_t k = 1; k < models.size(); ++k) {
      alarm = judge_pair(models[k - 1], models[k], kAlpha / 3.0, 0.0).regression || alarm;
    }
    n_alarms += alarm;
  }
  std::cout << n_alarms << " alarms in " << kNights << " nights without a change, at most " << kAlpha * kNights
            << " stated\n";
  EXPECT_LE(n_alarms, 67);
  EXPECT_GT(n_alarms, 5);  // a gate that never closes is none
}

TEST(NullNights, ARegressionOfHalfAPercentIsCaught) {
  int n_caught = 0;
  for (int night = 0; night < 50; ++night) {
    Random random(7, static_cast<std::uint64_t>(night));
    const testing::Texts texts = testing::make_texts("prose", 150, random);
    const lmbits::Run base = testing::make_night_run("run-1", 1, texts, 0.0, random);
    const lmbits::Run next = testing::make_night_run("run-2", 2, texts, 0.005, random);
    n_caught += judge_pair({base}, {next}, 0.05 / 3.0, 0.0).regression;
  }
  EXPECT_GE(n_caught, 48);
}

}  // namespace
}  // namespace lmbits
