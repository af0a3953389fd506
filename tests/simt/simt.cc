#include "tests/simt/simt.h"

#include <ucontext.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Begin and end of the section of shared variables; the linker makes these names. Weak: a program may have none.
extern "C" {
extern char __start_simt_shared[] __attribute__((weak));
extern char __stop_simt_shared[] __attribute__((weak));
}

namespace lmbits::simt {
namespace {

constexpr int kWarp = 32;
constexpr std::size_t kStackBytes = 128 << 10;

enum class Waits { kNot, kAtBarrier, kAtShuffle, kDone };

struct Fiber {
  ucontext_t context{};
  char* stack = nullptr;
  Waits waits = Waits::kNot;
  // At a barrier: where. At a shuffle: what it gives and whom it waits for.
  Site site{};
  unsigned mask = 0;
  std::uint64_t given = 0, taken = 0;
  int source = 0;
};

// The stack of a block's k-th thread: kept, since thousands of launches use the same few hundred.
char* stack_of(std::size_t k) {
  static std::vector<std::unique_ptr<char[]>> stacks;
  while (stacks.size() <= k) stacks.push_back(std::make_unique_for_overwrite<char[]>(kStackBytes));
  return stacks[k].get();
}

class Block {
 public:
  Block(unsigned n_blocks, unsigned n_threads, const std::function<void()>& kernel)
      : n_blocks_(n_blocks), n_threads_(n_threads), kernel_(kernel), fibers_(n_threads), random_(options().seed) {
    for (std::size_t k = 0; k < fibers_.size(); ++k) fibers_[k].stack = stack_of(k);
  }

  void run(unsigned index) {
    index_ = index;
    if (__start_simt_shared != nullptr) {
      std::memset(__start_simt_shared, 0xff, static_cast<std::size_t>(__stop_simt_shared - __start_simt_shared));
    }
    for (Fiber& fiber : fibers_) begin(fiber);
    std::vector<int> order(n_threads_);
    while (!all_done()) {
      bool moved = false;
      for (const int thread : this->order()) {
        if (ready(thread)) {
          resume(thread);
          moved = true;
        }
        if (options().schedule == Schedule::kStarvation) moved = starve(thread / kWarp) || moved;
      }
      moved = release_barrier() || moved;
      if (!moved) throw SimtError("threads wait for each other for ever");
    }
  }

  Index thread() const { return {static_cast<unsigned>(current_)}; }
  Index index() const { return {index_}; }
  Index extent() const { return {n_threads_}; }
  Index grid() const { return {n_blocks_}; }

  void barrier(const Site& site) {
    counts().barriers.insert(site);
    if (options().missing_barrier != nullptr && *options().missing_barrier == site) return;
    Fiber& fiber = me();
    fiber.site = site;
    wait(Waits::kAtBarrier);
  }

  std::uint64_t exchange(unsigned mask, std::uint64_t value, const std::function<int(int)>& source) {
    Fiber& fiber = me();
    const int lane = current_ % kWarp;
    if (((mask >> lane) & 1U) == 0) fail("a shuffle's mask does not hold its caller, lane " + std::to_string(lane));
    fiber.mask = mask;
    fiber.given = value;
    fiber.source = source(lane) & (kWarp - 1);
    if (((mask >> fiber.source) & 1U) == 0) {
      fail("lane " + std::to_string(lane) + " takes from lane " + std::to_string(fiber.source) + " outside the mask");
    }
    wait(Waits::kAtShuffle);
    return fiber.taken;
  }

  [[noreturn]] static void fail(const std::string& what) { throw SimtError(what); }

 private:
  Fiber& me() { return fibers_[static_cast<std::size_t>(current_)]; }
  Fiber& fiber(int thread) { return fibers_[static_cast<std::size_t>(thread)]; }

  static void enter();

  void begin(Fiber& fiber) {
    fiber.waits = Waits::kNot;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Block::enter, 0);
  }

  void resume(int thread) {
    current_ = thread;
    Fiber& to = fiber(thread);
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, to.stack, kStackBytes);
    swapcontext(&scheduler_, &to.context);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
    swapcontext(&scheduler_, &to.context);
#endif
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  void to_scheduler() {
    Fiber& from = me();
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(from.waits == Waits::kDone ? nullptr : &fake, scheduler_stack_, scheduler_bytes_);
    swapcontext(&from.context, &scheduler_);
    __sanitizer_finish_switch_fiber(fake, &scheduler_stack_, &scheduler_bytes_);
#else
    swapcontext(&from.context, &scheduler_);
#endif
  }

  void wait(Waits why) {
    me().waits = why;
    to_scheduler();
  }

  bool all_done() const {
    return std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.waits == Waits::kDone; });
  }

  // May this thread go on? A shuffle is over when all lanes of its mask are in it.
  bool ready(int thread) {
    Fiber& f = fiber(thread);
    if (f.waits == Waits::kNot) return true;
    if (f.waits != Waits::kAtShuffle) return false;
    const int first = thread / kWarp * kWarp;
    for (int lane = 0; lane < kWarp; ++lane) {
      if (((f.mask >> lane) & 1U) == 0) continue;
      const int other = first + lane;
      if (other >= static_cast<int>(n_threads_) || fiber(other).waits == Waits::kDone) {
        fail("a shuffle waits for lane " + std::to_string(lane) + ", which has ended");
      }
      if (fiber(other).waits != Waits::kAtShuffle) return false;
    }
    for (int lane = 0; lane < kWarp; ++lane) {  // all at once: nobody may go on and shuffle again before
      if (((f.mask >> lane) & 1U) == 0) continue;
      Fiber& other = fiber(first + lane);
      if (other.mask != f.mask) fail("lanes of one shuffle have different masks");
      other.taken = fiber(first + other.source).given;
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      if (((f.mask >> lane) & 1U) != 0) fiber(first + lane).waits = Waits::kNot;
    }
    return true;
  }

  // A barrier opens when all threads that have not ended wait at it.
  bool release_barrier() {
    const Fiber* first = nullptr;
    for (const Fiber& f : fibers_) {
      if (f.waits == Waits::kDone) continue;
      if (f.waits != Waits::kAtBarrier) return false;
      if (first != nullptr && f.site != first->site) fail("threads wait at different barriers");
      first = &f;
    }
    if (first == nullptr) return false;
    if (std::any_of(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.waits == Waits::kDone; })) {
      fail("a barrier is not reached by threads that have ended");
    }
    for (Fiber& f : fibers_) f.waits = Waits::kNot;
    return true;
  }

  std::vector<int> order() {
    std::vector<int> order(n_threads_);
    std::iota(order.begin(), order.end(), 0);
    if (options().schedule == Schedule::kDescending) std::reverse(order.begin(), order.end());
    if (options().schedule == Schedule::kRandom) std::shuffle(order.begin(), order.end(), random_);
    if (options().schedule == Schedule::kStarvation) {
      std::vector<int> warps((n_threads_ + kWarp - 1) / kWarp);
      std::iota(warps.begin(), warps.end(), 0);
      std::shuffle(warps.begin(), warps.end(), random_);
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return warps[static_cast<std::size_t>(a / kWarp)] < warps[static_cast<std::size_t>(b / kWarp)];
      });
    }
    return order;
  }

  // Runs one warp until all of it waits at a barrier or has ended.
  bool starve(int warp) {
    bool moved = false, again = true;
    const int end = std::min(static_cast<int>(n_threads_), (warp + 1) * kWarp);
    while (again) {
      again = false;
      for (int thread = warp * kWarp; thread < end; ++thread) {
        if (!ready(thread)) continue;
        resume(thread);
        again = moved = true;
      }
    }
    return moved;
  }

  unsigned n_blocks_, n_threads_, index_ = 0;
  const std::function<void()>& kernel_;
  std::vector<Fiber> fibers_;
  ucontext_t scheduler_{};
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
  int current_ = 0;
  std::exception_ptr failure_;
  std::mt19937 random_;
};

Block* running = nullptr;

void Block::enter() {
  Block& block = *running;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block.scheduler_stack_, &block.scheduler_bytes_);
#endif
  try {
    block.kernel_();
  } catch (...) {
    block.failure_ = std::current_exception();
  }
  block.me().waits = Waits::kDone;
  block.to_scheduler();
}

struct Region {
  std::uintptr_t begin, end;
};
std::vector<Region>& regions() {
  static std::vector<Region> all;
  return all;
}

}  // namespace

const char* name(Schedule schedule) {
  switch (schedule) {
    case Schedule::kAscending:
      return "ascending";
    case Schedule::kDescending:
      return "descending";
    case Schedule::kRandom:
      return "random";
    case Schedule::kStarvation:
      return "starvation";
  }
  return "";
}

Options& options() {
  static Options all;
  return all;
}

Counts& counts() {
  static Counts all;
  return all;
}

void allow(const void* begin, std::int64_t n_bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(begin);
  regions().push_back({at, at + static_cast<std::uintptr_t>(n_bytes)});
}

void clear() {
  regions().clear();
  options() = {};
  counts() = {};
}

Index thread_index() { return running->thread(); }
Index block_index() { return running->index(); }
Index block_extent() { return running->extent(); }
Index grid_extent() { return running->grid(); }

void launch(unsigned n_blocks, unsigned n_threads, const std::function<void()>& kernel) {
  Block block(n_blocks, n_threads, kernel);
  running = &block;
  try {
    for (unsigned index = 0; index < n_blocks; ++index) block.run(index);
  } catch (...) {
    running = nullptr;
    throw;
  }
  running = nullptr;
}

void block_barrier(const char* file, int line) {
  const std::string path = file;
  running->barrier({path.substr(path.rfind('/') + 1), line});
}

void check_access(const void* p, std::size_t n_bytes, bool store) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const char* what = store ? "a store of " : "a load of ";
  if (at % n_bytes != 0) Block::fail(what + std::to_string(n_bytes) + " bytes is not aligned");
  const bool inside = std::any_of(regions().begin(), regions().end(),
                                  [&](const Region& r) { return at >= r.begin && at + n_bytes <= r.end; });
  if (!inside) Block::fail(what + std::to_string(n_bytes) + " bytes lies outside all that was allowed");
  (store ? counts().bytes_stored : counts().bytes_loaded) += static_cast<std::int64_t>(n_bytes);
  if (!store && n_bytes == 16) ++counts().wide_loads;
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, const std::function<int(int own)>& source) {
  return running->exchange(mask, value, source);
}

}  // namespace lmbits::simt
