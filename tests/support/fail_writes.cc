// Preloaded into the program: what changes files below $LMBITS_FAULT_DIR is counted, and the call of number $LMBITS_FAULT_AT
// fails as $LMBITS_FAULT says: "short" (half of a write, and then a full disk), "enospc", "eio", or "kill". Without a number
// the count is left in $LMBITS_FAULT_COUNT when the process ends.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<long> n_calls{0};
std::atomic<bool> disk_is_full{false};  // after a short write

const char* setting(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

bool is_below(const char* path) {
  const char* folder = setting("LMBITS_FAULT_DIR");
  return *folder != '\0' && path != nullptr && strncmp(path, folder, strlen(folder)) == 0;
}

bool is_below(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  return is_below(path);
}

enum class Fate { kWorks, kShort, kFails };

Fate fate_of_this_call(bool can_be_short) {
  if (disk_is_full.exchange(false)) {
    errno = ENOSPC;
    return Fate::kFails;
  }
  const char* at = setting("LMBITS_FAULT_AT");
  if (++n_calls != (*at == '\0' ? -1 : atol(at))) return Fate::kWorks;
  const char* fault = setting("LMBITS_FAULT");
  if (strcmp(fault, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(fault, "short") == 0 && can_be_short) {
    disk_is_full = true;
    return Fate::kShort;
  }
  errno = strcmp(fault, "eio") == 0 ? EIO : ENOSPC;
  return Fate::kFails;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

struct LeaveCount {
  ~LeaveCount() {
    const char* path = setting("LMBITS_FAULT_COUNT");
    if (*path == '\0') return;
    FILE* file = fopen(path, "w");
    if (file == nullptr) return;
    fprintf(file, "%ld\n", n_calls.load());
    fclose(file);
  }
} leave_count;

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t n) {
  static auto* next = real<ssize_t(int, const void*, size_t)>("write");
  if (!is_below(fd)) return next(fd, bytes, n);
  const Fate fate = fate_of_this_call(n > 1);
  return fate == Fate::kFails ? -1 : next(fd, bytes, fate == Fate::kShort ? n / 2 : n);
}

// The C library has these two names for one function; SQLite calls one, we the other.
ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) {
  static auto* next = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  if (!is_below(fd)) return next(fd, bytes, n, at);
  const Fate fate = fate_of_this_call(n > 1);
  return fate == Fate::kFails ? -1 : next(fd, bytes, fate == Fate::kShort ? n / 2 : n, at);
}

ssize_t pwrite64(int fd, const void* bytes, size_t n, off64_t at) { return pwrite(fd, bytes, n, at); }

int fsync(int fd) {
  static auto* next = real<int(int)>("fsync");
  return is_below(fd) && fate_of_this_call(false) == Fate::kFails ? -1 : next(fd);
}

int fdatasync(int fd) {
  static auto* next = real<int(int)>("fdatasync");
  return is_below(fd) && fate_of_this_call(false) == Fate::kFails ? -1 : next(fd);
}

int ftruncate(int fd, off_t n) {
  static auto* next = real<int(int, off_t)>("ftruncate");
  return is_below(fd) && fate_of_this_call(false) == Fate::kFails ? -1 : next(fd, n);
}

int ftruncate64(int fd, off64_t n) { return ftruncate(fd, n); }

int unlink(const char* path) {
  static auto* next = real<int(const char*)>("unlink");
  return is_below(path) && fate_of_this_call(false) == Fate::kFails ? -1 : next(path);
}

int rename(const char* from, const char* to) {
  static auto* next = real<int(const char*, const char*)>("rename");
  return is_below(to) && fate_of_this_call(false) == Fate::kFails ? -1 : next(from, to);
}

int link(const char* from, const char* to) {
  static auto* next = real<int(const char*, const char*)>("link");
  return is_below(to) && fate_of_this_call(false) == Fate::kFails ? -1 : next(from, to);
}

}  // extern "C"
