#include "src/core/stop.h"

#include <gtest/gtest.h>

#include <csignal>

namespace lmbits {
namespace {

TEST(Stop, IsRequestedFromASignalHandler) {
  EXPECT_FALSE(stop_requested());
  std::signal(SIGUSR1, [](int) { request_stop(); });
  std::raise(SIGUSR1);
  EXPECT_TRUE(stop_requested());
  EXPECT_TRUE(stop_requested());  // asking does not answer it
}

}  // namespace
}  // namespace lmbits
