// Ctrl-C, for commands that can stop in the middle of their work.
#pragma once

namespace lmbits::cli {

// From now on the first SIGINT or SIGTERM asks for a clean stop at the next safe point (src/core/stop.h); the handler is
// gone by the second, which kills. A command that never looks does not call this: the first signal ends it.
void stop_cleanly_on_signals();

}  // namespace lmbits::cli
