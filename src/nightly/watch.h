// Which checkpoints lie in the watched folders, and which of them are whole.
#pragma once
#include <string>
#include <vector>

#include "src/nightly/nightly_config.h"

namespace lmbits {

struct WatchedCheckpoint {
  std::string path;
  std::string model;    // "NAME=PATH" or "PATH", as `lmbits eval --model` takes it
  std::string stamp;    // inode, size and time: while it is the same, so is the file
  std::string waiting;  // not empty: not ready, and why
};

// In the order of their paths. Hidden files, and those whose names end in .tmp, .part or .partial, are none.
// A pattern that matches nothing is no error: the first checkpoint may be yet to come.
std::vector<WatchedCheckpoint> find_checkpoints(const NightlyConfig& config);

}  // namespace lmbits
