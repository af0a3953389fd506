// The records of a pool of samples, in any order, whatever the pool's size.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/core/file.h"

namespace lmbits {

// JSONL (.jsonl, .ndjson: a record a line, lines of white space skipped) or a JSON array (.json: a record an element), also
// as .gz or .zst. In memory are 16 bytes a record; the records stay in the file, or, where it is compressed, in a
// decompressed copy. The file must not change meanwhile.
class Pool {
 public:
  // Reads the pool once. `spool`: where a compressed pool's copy goes; not used for others. Throws Error(kData) where the
  // file is unreadable or corrupt, or the array is none.
  Pool(const std::string& path, const std::filesystem::path& spool);

  std::int64_t size() const { return static_cast<std::int64_t>(begins_.size()); }
  std::string record(std::int64_t i) const;                 // its JSON text, as it stands in the file. Thread-safe.
  std::string place(std::int64_t i) const;                  // "line 17", "element 17": counts from 1
  std::string fingerprint() const { return fingerprint_; }  // XXH3-128 of the (decompressed) bytes

 private:
  struct Scan;
  FileDescriptor file_;
  std::vector<std::int64_t> begins_, lengths_;
  std::vector<std::int64_t> lines_;  // only where some lines were skipped
  bool is_array_ = false;
  std::string fingerprint_;
};

}  // namespace lmbits
