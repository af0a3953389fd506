#include "src/cli/stop_signals.h"

#include <signal.h>

#include "src/core/stop.h"

namespace lmbits::cli {

void stop_cleanly_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { request_stop(); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace lmbits::cli
