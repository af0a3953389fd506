// Runs a CUDA kernel on the host: one fiber a thread, one block at a time, and looks at what it does.
//
// A fiber runs until it waits: at a barrier or a shuffle. Which one goes on then is the schedule's choice, so a result that
// depends on the order of threads between two barriers differs from one schedule to another. Shared memory is filled with
// 0xff before each block: what is read before it is written is a NaN or -1.
//
// Checked, with a SimtError that says what: global loads and stores lie in a region that the test has named and are
// aligned to their type; barriers are reached by all threads that still run; a shuffle's mask holds its caller, and its
// source takes part; nobody waits for ever.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace lmbits::simt {

struct SimtError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Schedule {
  kAscending,
  kDescending,
  kRandom,
  kStarvation,  // a warp goes as far as it can before another one starts, warps in random order
};
inline constexpr Schedule kSchedules[] = {Schedule::kAscending, Schedule::kDescending, Schedule::kRandom,
                                          Schedule::kStarvation};
const char* name(Schedule schedule);

// A barrier as it stands in the source.
struct Site {
  std::string file;
  int line;
  auto operator<=>(const Site&) const = default;
};

// What every launch of this process does. Tests set it and reset it.
struct Options {
  Schedule schedule = Schedule::kAscending;
  unsigned seed = 1;
  const Site* missing_barrier = nullptr;  // a mutant: this one is not there
};
Options& options();

struct Counts {
  std::int64_t bytes_loaded = 0, bytes_stored = 0;  // of global memory
  std::int64_t wide_loads = 0;                      // of 16 bytes
  std::set<Site> barriers;                          // that were reached
};
Counts& counts();

// Global memory: what a kernel may load from and store to. Regions are of the current test; clear() forgets them.
void allow(const void* begin, std::int64_t n_bytes);
void clear();

struct Index {
  unsigned x;
};
Index thread_index();
Index block_index();
Index block_extent();
Index grid_extent();

void launch(unsigned n_blocks, unsigned n_threads, const std::function<void()>& kernel);
void block_barrier(const char* file, int line);

// ---- behind the macros of cuda_runtime.h

void check_access(const void* p, std::size_t n_bytes, bool store);
// Leaves `value` for the lanes of the mask and returns lane source(own)'s.
std::uint64_t exchange(unsigned mask, std::uint64_t value, const std::function<int(int own)>& source);

template <typename T>
T load(const T* p) {
  check_access(p, sizeof(T), false);
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <typename T>
void store(T* p, const T& value) {
  check_access(p, sizeof(T), true);
  std::memcpy(p, &value, sizeof value);
}

template <typename T, typename Source>
T shuffle(unsigned mask, T value, Source source) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace lmbits::simt
