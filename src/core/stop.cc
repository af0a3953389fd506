#include "src/core/stop.h"

#include <atomic>

namespace lmbits {
namespace {
std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a lock inside a signal handler may wait for ever");
}  // namespace

void request_stop() noexcept { requested.store(true, std::memory_order_relaxed); }

bool stop_requested() noexcept { return requested.load(std::memory_order_relaxed); }

}  // namespace lmbits
