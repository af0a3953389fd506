// Records of any kind, appended as they come: a header line that says what they depend on, then a checked line each.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {

// One writer: hold the folder's lock. Not thread-safe.
class RecordLog {
 public:
  // Creates the file, or resumes it: sound records stay; torn or corrupt lines are dropped for good, as are those that
  // `keep` refuses. Throws Error(kConfig) naming each key of `identity` that has changed, with both values.
  RecordLog(const std::filesystem::path& path, const Json& identity, const std::function<bool(const Json&)>& keep);

  const std::vector<Json>& done() const { return done_; }  // in the file's order

  // One write(2): a kill leaves whole lines and at most a torn last one.
  void append(const Json& record);
  void sync();

 private:
  std::vector<Json> done_;
  std::optional<AppendFile> file_;
};

}  // namespace lmbits
