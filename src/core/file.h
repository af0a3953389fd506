// Files whose writers may be killed, run out of space or meet each other.
//
// Whatever fails throws Error(kData) with the path, the system's reason and what to do about it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace lmbits {

// An open file, closed when destroyed.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The file's bytes.
std::string read_file(const std::filesystem::path& path);

// Readers, now and after a crash, see either what was there before or all of `bytes`: a temporary file in the same
// folder, fsync, rename, fsync of the folder. A symbolic link is followed; anything but a regular file is refused. A
// kill may leave the temporary file, named by is_temporary_file, behind.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

// Is this name one that write_file_atomically gives to its temporary files?
bool is_temporary_file(const std::filesystem::path& path);

// Removes the file, if it is there, for good (fsync of the folder).
void remove_file(const std::filesystem::path& path);

// A file that only grows, a line at a time. One writer: hold a FolderLock. Not thread-safe.
class AppendFile {
 public:
  // Opens or creates the file and cuts it to `length` bytes if it is longer.
  AppendFile(const std::filesystem::path& path, std::int64_t length);

  // Writes `line` and a newline with one write(2). If not all of it can be written (disk full, quota, limit) the file
  // is cut back to the complete lines before the error is thrown, so a later append, with space again, is sound.
  void append(std::string_view line);

  void sync();  // fsync

 private:
  void cut_back();

  std::filesystem::path path_;
  FileDescriptor fd_;
  std::int64_t length_;  // bytes of complete lines
  bool torn_ = false;    // a part of a line may lie behind them
};

// Held by at most one process (and one object) at a time for each folder; the system lets go of it when the process
// ends, however it ends. Uses flock(2) on the file `.lock`, which stays behind.
class FolderLock {
 public:
  // Throws Error(kConfig) that names the holder's process id and host when the folder is held, Error(kData) when it
  // cannot be locked at all.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();

 private:
  FileDescriptor fd_;
};

}  // namespace lmbits
