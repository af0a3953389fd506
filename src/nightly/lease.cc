#include "src/nightly/lease.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <sstream>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/stop.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string first_line(const fs::path& path) {
  try {
    const std::string text = read_file(path);
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return {};
  }
}

// When a process started, in ticks since boot: with the boot it tells a process from a later one of the same number.
std::string start_of(int pid) {
  const std::string stat = first_line("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string field;
  for (int k = 3; k <= 22 && fields >> field; ++k) {
  }
  return field;
}

std::string boot() { return first_line("/proc/sys/kernel/random/boot_id"); }

Json holder() {
  static std::atomic<int> n_leases{0};
  return {{"host", host_name()},
          {"pid", ::getpid()},
          {"start", start_of(::getpid())},
          {"boot", boot()},
          {"lease", ++n_leases}};
}

std::optional<std::string> content_of(const fs::path& file) {
  try {
    return read_file(file);
  } catch (const Error&) {
    if (!fs::exists(file)) return std::nullopt;
    throw;
  }
}

// A file of our own beside the lease: what is linked into its place, and a look at the file system's clock.
class OwnFile {
 public:
  OwnFile(const fs::path& lease, const std::string& content)
      : path_(lease.string() + "." + host_name() + "." + std::to_string(::getpid())) {
    write_file_atomically(path_, content);
  }
  ~OwnFile() { ::unlink(path_.c_str()); }
  OwnFile(const OwnFile&) = delete;
  OwnFile& operator=(const OwnFile&) = delete;

  // False where `place` is taken. link(2) over NFS may report a failure although it succeeded: the count of links says.
  bool link_to(const fs::path& place) const {
    const int failed = ::link(path_.c_str(), place.c_str()) == 0 ? 0 : errno;
    struct stat info {};
    if (::stat(path_.c_str(), &info) == 0 && info.st_nlink > 1) return true;
    if (failed == EEXIST) return false;
    throw Error(ErrorKind::kData,
                "cannot link " + place.string() + ": " + std::generic_category().message(failed ? failed : EIO),
                "the lease needs a file system with hard links; choose another output folder");
  }
  void replace(const fs::path& place) const { fs::rename(path_, place); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

double age_s(const fs::path& file, const fs::path& just_written) {
  struct stat old {
  }, now{};
  if (::stat(file.c_str(), &old) != 0 || ::stat(just_written.c_str(), &now) != 0) return 0.0;
  return static_cast<double>(now.st_mtim.tv_sec - old.st_mtim.tv_sec) +
         1e-9 * static_cast<double>(now.st_mtim.tv_nsec - old.st_mtim.tv_nsec);
}

// Why the holder is gone; empty: it is not.
std::string why_gone(const Json& holder, const fs::path& file, const fs::path& just_written, double stale_s) {
  const double age = age_s(file, just_written);
  const std::string who = "process " + std::to_string(holder.value("pid", 0)) + " on " + holder.value("host", "?");
  if (holder.value("host", "") == host_name() && !boot().empty()) {
    if (holder.value("boot", "") != boot()) return who + " ended with a reboot";
    const int pid = holder.value("pid", 0);
    const bool runs = ::kill(pid, 0) == 0 || errno == EPERM;
    if (!runs || start_of(pid) != holder.value("start", "")) return who + " has ended";
    return {};
  }
  if (age <= stale_s) return {};
  return who + " has given no sign for " + std::to_string(static_cast<long long>(age)) + " s";
}

}  // namespace

Lease::Lease(const fs::path& file, const LeaseOptions& options, std::string& note) : file_(file) {
  content_ = holder().dump() + "\n";
  const OwnFile own(file, content_);
  while (!own.link_to(file)) {
    const std::optional<std::string> other = content_of(file);
    if (!other) continue;  // given back just now
    const Json who = Json::parse(*other, nullptr, false);
    const std::string gone =
        who.is_object() ? why_gone(who, file, own.path(), options.stale_s) : std::string("its lease cannot be read");
    if (gone.empty()) {
      throw Error(ErrorKind::kConfig,
                  file.parent_path().string() + " is in use by process " + std::to_string(who.value("pid", 0)) +
                      " on " + who.value("host", "?") + ", last heard of " +
                      std::to_string(static_cast<long long>(age_s(file, own.path()))) + " s ago",
                  "wait until it is done; one that has died is replaced by itself");
    }
    // Several may find the holder gone. Who links the second name replaces the lease, if it still is the one looked at.
    const fs::path takeover = file.string() + ".takeover";
    const OwnFile claim(takeover, content_);
    if (!claim.link_to(takeover)) {
      if (age_s(takeover, claim.path()) > options.stale_s)
        ::unlink(takeover.c_str());  // its maker was killed meanwhile
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    const bool unchanged = content_of(file) == other;
    if (unchanged) {
      write_file_atomically(file, content_);
      note = "took over from " + gone;
    }
    ::unlink(takeover.c_str());
    if (unchanged) break;
  }
  heart_ = std::jthread([this, every = options.heartbeat_s](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, std::chrono::duration<double>(every), [&] { return stop.stop_requested(); })) {
      if (!is_held()) {
        request_stop();
        return;
      }
      ::utimensat(AT_FDCWD, file_.c_str(), nullptr, 0);
    }
  });
}

Lease::~Lease() {
  heart_.request_stop();
  heart_.join();
  if (is_held()) ::unlink(file_.c_str());
}

bool Lease::is_held() const {
  try {
    return content_of(file_) == content_;
  } catch (const Error&) {  // the disk does not answer: nothing is known
    return true;
  }
}

}  // namespace lmbits
