// Large files: written in pieces and yet whole or absent, read where they lie.
//
// Whatever fails throws Error(kData) with the path, the system's reason and what to do about it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "src/core/file.h"

namespace lmbits {

// A file of any size that appears as a whole, or not at all: written beside its place under a name of its own, so writers
// of one file, also on several machines, do not meet; the last to commit wins. The temporary file is locked (flock) while
// it is written, by which remove_abandoned_files knows whose writer is gone. Not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();  // removes what was not committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::string_view bytes);                          // buffered
  void overwrite(std::int64_t offset, std::string_view bytes);  // of what was appended
  std::int64_t size() const { return size_; }
  void commit();  // fsync, rename, fsync of the folder

 private:
  void flush();

  std::filesystem::path path_, temporary_;
  FileDescriptor fd_;
  std::string buffer_;
  std::int64_t size_ = 0;
  bool committed_ = false;
};

// Removes the temporary files in `folder` that no living AtomicFile writes.
void remove_abandoned_files(const std::filesystem::path& folder);

// A file's bytes as they lie in memory, read as they are touched. Whoever cuts the file meanwhile stops the process
// (SIGBUS): only for files that are replaced by rename, never changed in place.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lmbits
