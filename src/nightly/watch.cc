#include "src/nightly/watch.h"

#include <glob.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <set>

#include "src/core/error.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::set<std::string> matches(const std::vector<std::string>& patterns) {
  std::set<std::string> paths;
  for (const std::string& pattern : patterns) {
    glob_t found{};
    const int code = ::glob(pattern.c_str(), 0, nullptr, &found);
    for (std::size_t k = 0; code == 0 && k < found.gl_pathc; ++k) paths.insert(found.gl_pathv[k]);
    ::globfree(&found);
    if (code != 0 && code != GLOB_NOMATCH) {
      throw Error(ErrorKind::kData, "cannot look for " + pattern, "may the folders be read?");
    }
  }
  return paths;
}

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.starts_with('.')) return true;
  for (const char* end : {".tmp", ".part", ".partial"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

// "READY" beside the checkpoint; "{}.done": its own name in the place of {}.
fs::path marker_of(const fs::path& checkpoint, const std::string& ready) {
  std::string name = ready;
  if (const std::size_t at = name.find("{}"); at != std::string::npos)
    name.replace(at, 2, checkpoint.filename().string());
  return checkpoint.parent_path() / name;
}

std::string waiting_for(const fs::path& path, const struct stat& info, const NightlyConfig& config) {
  if (!config.ready.empty()) {
    const fs::path marker = marker_of(path, config.ready);
    return fs::exists(marker) ? std::string() : marker.filename().string() + " is not there";
  }
  const double age = std::difftime(std::time(nullptr), info.st_mtim.tv_sec);
  if (age >= config.settle_s) return {};
  if (age < -config.settle_s) return {};  // from the future: some clock is wrong, and waiting would not end
  return "it changed " + std::to_string(static_cast<long long>(age)) + " s ago";
}

std::string model_of(const fs::path& path, const std::string& rule) {
  if (rule == "stem") return path.stem().string() + "=" + path.string();
  if (rule == "folder") return path.parent_path().filename().string() + "=" + path.string();
  return path.string();
}

}  // namespace

std::vector<WatchedCheckpoint> find_checkpoints(const NightlyConfig& config) {
  std::vector<WatchedCheckpoint> checkpoints;
  for (const std::string& path : matches(config.watch)) {
    struct stat info {};
    if (is_temporary(path) || ::stat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) continue;
    checkpoints.push_back({.path = path,
                           .model = model_of(path, config.name),
                           .stamp = std::to_string(info.st_ino) + ":" + std::to_string(info.st_size) + ":" +
                                    std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec),
                           .waiting = waiting_for(path, info, config)});
  }
  return checkpoints;
}

}  // namespace lmbits
