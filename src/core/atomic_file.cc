#include "src/core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file_internal.h"

namespace lmbits {

namespace fs = std::filesystem;
using namespace files;

namespace {

// Of this host, process and call: two writers of one file never share a temporary file.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<int> n_calls{0};
  char host[HOST_NAME_MAX + 1] = {};
  ::gethostname(host, HOST_NAME_MAX);
  return folder_of(path) / ("." + path.filename().string() + "." + host + "-" + std::to_string(::getpid()) + "-" +
                            std::to_string(++n_calls) + kTemporarySuffix);
}

// Created and locked: who sees it knows that its writer lives. Between the two, remove_abandoned_files of another process may
// have it; then it is made again. Where the file system has no locks, files are abandoned later.
int create_locked(const fs::path& path) {
  while (true) {
    const int fd = open_or_fail("write", path, O_RDWR | O_CREAT | O_TRUNC);
    const bool being_removed = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat status {};
    if (!being_removed && ::fstat(fd, &status) == 0 && status.st_nlink > 0) return fd;
    ::close(fd);
  }
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path)
    : path_(regular_target(path)), temporary_(temporary_beside(path_)), fd_(create_locked(temporary_)) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::append(std::string_view bytes) {
  constexpr std::size_t kBuffer = std::size_t{1} << 20;
  buffer_ += bytes;
  size_ += static_cast<std::int64_t>(bytes.size());
  if (buffer_.size() >= kBuffer) flush();
}

void AtomicFile::flush() {
  if (write_all(fd_.get(), buffer_) != buffer_.size()) fail("write", path_, errno);
  buffer_.clear();
}

void AtomicFile::overwrite(std::int64_t offset, std::string_view bytes) {
  LMBITS_CHECK(offset >= 0 && offset + static_cast<std::int64_t>(bytes.size()) <= size_);
  flush();
  const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), offset);
  if (n != static_cast<ssize_t>(bytes.size())) fail("write", path_, n < 0 ? errno : EIO);
}

void AtomicFile::commit() {
  flush();
  if (::fsync(fd_.get()) != 0) fail("write", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("write", path_, errno);
  committed_ = true;
  sync_folder(folder_of(path_));
}

void remove_abandoned_files(const fs::path& folder) {
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    if (!is_temporary_file(entry.path())) continue;
    const FileDescriptor fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() >= 0 && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
  }
}

MappedFile::MappedFile(const fs::path& path) {
  const FileDescriptor fd(open_or_fail("read", path, O_RDONLY));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail("read", path, errno);
  if (status.st_size == 0) return;
  void* data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) fail("map", path, errno);
  data_ = static_cast<const char*>(data);
  size_ = static_cast<std::size_t>(status.st_size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace lmbits
