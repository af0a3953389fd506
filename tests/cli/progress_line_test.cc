#include "src/cli/progress_line.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "src/report/table.h"

namespace lmbits::cli {
namespace {

TEST(RateWindow, IsUnknownUntilTimeHasPassed) {
  RateWindow rate(30);
  EXPECT_FALSE(rate.per_second());
  rate.add(5, 100);
  EXPECT_FALSE(rate.per_second());
  rate.add(5, 200);
  EXPECT_FALSE(rate.per_second());
  rate.add(7, 300);
  EXPECT_DOUBLE_EQ(*rate.per_second(), 100.0);
}

TEST(RateWindow, ForgetsWhatLiesBeforeTheWindow) {
  RateWindow rate(30);
  std::int64_t n_done = 0;
  double now_s = 0.0;
  for (; now_s < 100.0; now_s += 0.1) rate.add(now_s, n_done += 100);  // 1000 a second
  EXPECT_NEAR(*rate.per_second(), 1000.0, 1.0);
  for (; now_s < 140.0; now_s += 0.1) rate.add(now_s, n_done += 1);  // then 10 a second, for longer than the window
  EXPECT_NEAR(*rate.per_second(), 10.0, 0.1);
}

TEST(RateWindow, NoticesAStall) {
  RateWindow rate(30);
  rate.add(0, 0);
  rate.add(10, 1000);
  rate.add(100, 1001);
  EXPECT_LT(*rate.per_second(), 1.0);
}

TEST(ProgressText, ShowsShareRateAndTimeLeft) {
  const Work work{"xl on prose", "tok", 1'000'000};
  EXPECT_EQ(progress_text(work, 250'000, 5000.0, 80),
            "xl on prose  [=======>                    ]  25 %  5.00 k tok/s  2 min 30 s left");
}

TEST(ProgressText, PromisesNothingItDoesNotKnow) {
  EXPECT_EQ(progress_text({"x", "B", std::nullopt}, 2000, 100.0, 80), "x  2.00 k B  100 B/s");
  EXPECT_EQ(progress_text({"x", "B", 4000}, 2000, std::nullopt, 12), "x  50 %");
  EXPECT_EQ(progress_text({"x", "B", 4000}, 2000, 0.0, 16), "x  50 %  0 B/s");
  EXPECT_EQ(progress_text({"x", "B", 0}, 0, std::nullopt, 80), "x  0 B");
}

TEST(ProgressText, SaysAHundredPercentOfFinishedWorkAlone) {
  EXPECT_EQ(progress_text({"x", "B", 1000}, 999, std::nullopt, 10), "x  99 %");
  EXPECT_EQ(progress_text({"x", "B", 1000}, 1000, std::nullopt, 10), "x  100 %");
  EXPECT_EQ(progress_text({"x", "B", 1000}, 1200, std::nullopt, 10), "x  100 %");  // an estimate that was too low
}

TEST(ProgressText, NeverIsWiderThanTheTerminal) {
  for (std::size_t width = 1; width < 130; ++width) {
    for (const std::string label : {"", "m", "großes Modell × Überraschung: ein langer Name", "日本語のコーパス"}) {
      for (std::int64_t n_done : {0, 1, 500'000, 1'000'000}) {
        const std::string text = progress_text({label, "tok", 1'000'000}, n_done, 12345.6, width);
        EXPECT_LE(display_width(text), width) << text;
        EXPECT_EQ(printable(text), text) << "a character was cut";
      }
    }
  }
}

class ProgressLineTest : public testing::Test {
 protected:
  ProgressLine make(bool is_terminal) {
    return ProgressLine(file_.get(), {is_terminal, 60, false}, [this] { return now_s_; });
  }
  std::string written() {
    std::string text(static_cast<std::size_t>(std::ftell(file_.get())), '\0');
    std::rewind(file_.get());
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), file_.get()), text.size());
    return text;
  }
  static std::int64_t count(const std::string& text, char c) { return std::count(text.begin(), text.end(), c); }

  double now_s_ = 1000.0;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{std::tmpfile(), std::fclose};
};

TEST_F(ProgressLineTest, RedrawsATerminalAtMostTenTimesASecond) {
  ProgressLine line = make(true);
  line.begin({"x", "B", 100'000});
  for (int step = 0; step < 3000; ++step) {
    now_s_ += 0.001;
    line.advance(10);
  }
  line.end();
  const std::string text = written();
  EXPECT_LE(count(text, '\r'), 32);
  EXPECT_GE(count(text, '\r'), 25);
  EXPECT_EQ(count(text, '\n'), 0);
  EXPECT_TRUE(text.ends_with("\r\x1b[K")) << "the line is cleared for the report";
}

TEST_F(ProgressLineTest, PrintsPlainLinesElsewhere) {
  ProgressLine line = make(false);
  line.begin({"x", "B", 3000});
  for (int second = 0; second < 30; ++second) {
    now_s_ += 1.0;
    line.advance(100);
  }
  line.end();
  const std::string text = written();
  EXPECT_EQ(count(text, '\n'), 3);
  EXPECT_EQ(count(text, '\r') + count(text, '\x1b'), 0);
}

TEST_F(ProgressLineTest, CountsWhatAnEarlierRunDidAsDoneButNotAsFast) {
  ProgressLine line = make(false);
  line.begin({"x", "B", 2000, 1000});
  now_s_ += 10.0;
  line.advance(100);
  EXPECT_NE(written().find("55 %  10 B/s  1 min 30 s left"), std::string::npos);
}

TEST_F(ProgressLineTest, SurvivesThreads) {
  ProgressLine line = make(true);
  line.begin({"x", "B", std::nullopt});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int step = 0; step < 1000; ++step) line.advance(1);
    });
  threads.clear();
  now_s_ += 1.0;
  line.advance(0);
  EXPECT_NE(written().find("4.00 k B"), std::string::npos);
}

}  // namespace
}  // namespace lmbits::cli
