// The one flag that asks work in progress to stop at the next safe point.
#pragma once

namespace lmbits {

// Async-signal-safe, so that a handler of SIGINT can call it. There is no way back: a process stops once.
void request_stop() noexcept;

bool stop_requested() noexcept;

}  // namespace lmbits
