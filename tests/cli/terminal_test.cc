#include "src/cli/terminal.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <memory>

namespace lmbits::cli {
namespace {

TEST(FormatSi, HasThreeDigitsAndAPrefix) {
  EXPECT_EQ(format_si(0), "0");
  EXPECT_EQ(format_si(7), "7");
  EXPECT_EQ(format_si(0.256), "0.26");
  EXPECT_EQ(format_si(12.34), "12.3");
  EXPECT_EQ(format_si(999), "999");
  EXPECT_EQ(format_si(999.6), "1.00 k");
  EXPECT_EQ(format_si(1234), "1.23 k");
  EXPECT_EQ(format_si(99'960), "100 k");
  EXPECT_EQ(format_si(1'234'567), "1.23 M");
  EXPECT_EQ(format_si(9.2e18), "9.20 E");
}

TEST(FormatDuration, TakesTheTwoUnitsThatMatter) {
  EXPECT_EQ(format_duration(0), "0.00 s");
  EXPECT_EQ(format_duration(0.42), "0.42 s");
  EXPECT_EQ(format_duration(1.5), "1.5 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(192), "3 min 12 s");
  EXPECT_EQ(format_duration(3599.7), "1 h 00 min");
  EXPECT_EQ(format_duration(7500), "2 h 05 min");
  EXPECT_EQ(format_duration(273'600), "3 d 4 h");
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

class PseudoTerminal : public testing::Test {
 protected:
  void SetUp() override {
    winsize size{};
    size.ws_col = 72;
    int other = -1;
    ASSERT_EQ(openpty(&controller_, &other, nullptr, nullptr, &size), 0);
    stream_ = File(fdopen(other, "w"), std::fclose);
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
  }
  void TearDown() override { close(controller_); }

  int controller_ = -1;
  File stream_{nullptr, std::fclose};
};

TEST_F(PseudoTerminal, TellsItsWidthAndTakesColours) {
  const Terminal terminal = terminal_of(stream_.get());
  EXPECT_TRUE(terminal.is_terminal);
  EXPECT_EQ(terminal.width, 72u);
  EXPECT_TRUE(terminal.color);
}

TEST_F(PseudoTerminal, NoColorAndDumbTurnColoursOff) {
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(terminal_of(stream_.get()).color);
  setenv("NO_COLOR", "", 1);  // no-color.org: only when it is not empty
  EXPECT_TRUE(terminal_of(stream_.get()).color);
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(terminal_of(stream_.get()).color);
}

TEST(Terminal, AFileIsNone) {
  const File file(std::tmpfile(), std::fclose);
  const Terminal terminal = terminal_of(file.get());
  EXPECT_FALSE(terminal.is_terminal);
  EXPECT_FALSE(terminal.color);
  EXPECT_EQ(terminal.width, 100u);
}

}  // namespace
}  // namespace lmbits::cli
