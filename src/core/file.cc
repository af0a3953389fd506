#include "src/core/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file_internal.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::string hint_for(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there and run the same command again; what was complete is kept";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f) and run the same command again; what was complete is kept";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder that you may write to, or change its permissions";
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
      return "check the path";
    default:
      return "check the disk or the network mount that holds it";
  }
}

}  // namespace

namespace files {

void fail(const std::string& action, const fs::path& path, int error) {
  const std::string reason = std::generic_category().message(error);
  throw Error(ErrorKind::kData, "cannot " + action + " " + path.string() + ": " + reason, hint_for(error));
}

int open_or_fail(const std::string& action, const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) fail(action, path, errno);
  return fd;
}

std::size_t write_all(int fd, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void sync_folder(const fs::path& folder) {
  const FileDescriptor fd(open_or_fail("open the folder", folder, O_RDONLY | O_DIRECTORY));
  // Some file systems (FUSE, CIFS) know no fsync of folders, and then need none that we could give.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOTSUP) fail("save the folder", folder, errno);
}

fs::path regular_target(const fs::path& path) {
  std::error_code none;
  if (!fs::exists(path, none)) return path;
  if (!fs::is_regular_file(path, none)) {
    throw Error(ErrorKind::kData, "cannot write " + path.string() + ": it is there and not a regular file",
                "choose another name");
  }
  const fs::path resolved = fs::canonical(path, none);
  return resolved.empty() ? path : resolved;
}

}  // namespace files

using namespace files;

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string read_file(const fs::path& path) {
  const FileDescriptor fd(open_or_fail("read", path, O_RDONLY));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail("read", path, errno);
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(status.st_size));
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", path, errno);
    if (n == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(n));
  }
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  const fs::path target = regular_target(path);
  const fs::path folder = folder_of(target);
  const fs::path temporary =
      folder / ("." + target.filename().string() + "." + std::to_string(::getpid()) + kTemporarySuffix);
  try {
    const FileDescriptor fd(open_or_fail("write", temporary, O_WRONLY | O_CREAT | O_TRUNC));
    if (write_all(fd.get(), bytes) != bytes.size()) fail("write", target, errno);
    if (::fsync(fd.get()) != 0) fail("write", target, errno);
    if (::rename(temporary.c_str(), target.c_str()) != 0) fail("write", target, errno);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(folder);
}

bool is_temporary_file(const fs::path& path) { return path.extension() == kTemporarySuffix; }

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) == 0) {
    sync_folder(folder_of(path));
  } else if (errno != ENOENT) {
    fail("remove", path, errno);
  }
}

AppendFile::AppendFile(const fs::path& path, std::int64_t length)
    : path_(path), fd_(open_or_fail("write", path, O_WRONLY | O_CREAT | O_APPEND)), length_(length) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) fail("write", path, errno);
  LMBITS_CHECK(status.st_size >= length);
  if (status.st_size > length) {
    cut_back();
    sync();
  }
  sync_folder(folder_of(path));
}

void AppendFile::append(std::string_view line) {
  if (torn_) cut_back();
  std::string bytes(line);
  bytes += '\n';
  if (write_all(fd_.get(), bytes) == bytes.size()) {
    length_ += static_cast<std::int64_t>(bytes.size());
    return;
  }
  const int error = errno;
  torn_ = true;
  cut_back();
  fail("write", path_, error);
}

void AppendFile::cut_back() {
  if (::ftruncate(fd_.get(), length_) != 0) fail("cut off the incomplete end of", path_, errno);
  torn_ = false;
}

void AppendFile::sync() {
  if (::fsync(fd_.get()) != 0) fail("save", path_, errno);
}

namespace {

int lock_or_fail(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  const int fd = open_or_fail("write", path, O_RDWR | O_CREAT);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  const FileDescriptor closer(fd);
  if (error != EWOULDBLOCK) {
    throw Error(ErrorKind::kData, "cannot lock " + path.string() + ": " + std::generic_category().message(error),
                "choose a folder on a file system that supports flock, so that two processes cannot mix their results");
  }
  char holder[512];
  const ssize_t n = ::pread(fd, holder, sizeof holder, 0);
  throw Error(ErrorKind::kConfig,
              folder.string() + " is being written by " +
                  (n > 0 ? std::string(holder, static_cast<std::size_t>(n)) : std::string("another process")),
              "wait for it to end, or choose another folder");
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : fd_(lock_or_fail(folder)) {
  char host[HOST_NAME_MAX + 1] = {};
  ::gethostname(host, HOST_NAME_MAX);
  const std::string holder = "process " + std::to_string(::getpid()) + " on " + host;
  if (::ftruncate(fd_.get(), 0) != 0 || write_all(fd_.get(), holder) != holder.size()) {
    fail("write", folder / ".lock", errno);
  }
}

FolderLock::~FolderLock() = default;

}  // namespace lmbits
