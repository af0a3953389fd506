#include "src/report/rank_report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/report/make_run.h"

namespace lmbits {
namespace {

const RankRequest kQuick{.n_resamples = 500};

TEST(RankReport, SaysTiesAsTiesAndRangesOfRanks) {
  const RankReport report =
      rank_runs({make_run("a", "novel", some_bits(20, 1.0)), make_run("b", "novel", some_bits(20, 1.0))}, kQuick);
  const std::string text = to_text(report, {});
  EXPECT_NE(text.find("1-2 ≈  a"), std::string::npos) << text;
  EXPECT_NE(text.find("1-2 ≈  b"), std::string::npos) << text;
  EXPECT_NE(text.find("↓ lower is better"), std::string::npos);
}

TEST(RankReport, KeepsToTheTerminalsWidthAndDrawsWhereThereIsRoom) {
  const RankReport report = rank_runs(two_models_two_corpora(), kQuick);
  for (const std::size_t width : {60u, 70u, 80u, 100u, 120u, 160u}) {
    const std::string text = to_text(report, {.width = width, .color = false});
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      EXPECT_LE(display_width(text.substr(begin, end - begin)), width) << text.substr(begin, end - begin);
      begin = end + 1;
    }
    for (const char* number : {"bits/byte", "bits/char", "ratio"})
      EXPECT_NE(text.find(number), std::string::npos) << number << " at " << width << "\n" << text;
    EXPECT_EQ(text.find("●") != std::string::npos, width >= 120) << width << "\n" << text;
  }
}

TEST(RankReport, SaysWhatATerminalHadNoRoomFor) {
  const RankReport report = rank_runs(two_models_two_corpora(), kQuick);
  const auto legend_at = [&](std::size_t width) {
    std::string text = to_text(report, {.width = width, .color = false});
    text = text.substr(text.rfind("\n\n") + 2);
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  };
  EXPECT_NE(legend_at(50).find("Left out at 50 columns: intervals of the differences, differences to the best, ratio;"),
            std::string::npos)
      << legend_at(50);
  EXPECT_NE(legend_at(80).find("Left out at 80 columns: intervals of the differences; a wider terminal shows them, "
                               "--format markdown, csv and json have them."),
            std::string::npos)
      << legend_at(80);
  EXPECT_NE(legend_at(100).find("A terminal of 101 columns has a plot, too."), std::string::npos) << legend_at(100);
  EXPECT_EQ(legend_at(101), legend(report) + " ");
}

TEST(RankReport, CsvHasOneHeaderAndEveryRow) {
  const std::string csv = to_csv(rank_runs(two_models_two_corpora(), kQuick));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 4 * 3);
  EXPECT_EQ(csv.find("corpus,convention,pooling,kind,rank"), 0u);
}

}  // namespace
}  // namespace lmbits
