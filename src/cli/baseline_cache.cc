#include "src/cli/baseline_cache.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file.h"

namespace lmbits::cli {

namespace fs = std::filesystem;

BaselineCache::BaselineCache(const std::string& directory, const std::string& corpus) {
  if (directory.empty()) return;
  std::error_code failed;
  fs::create_directories(directory, failed);  // now, not after hours of compressing
  if (failed || ::access(directory.c_str(), W_OK) != 0)
    throw Error(ErrorKind::kData,
                "the cache " + directory +
                    " cannot be written: " + (failed ? failed.message() : std::generic_category().message(errno)),
                "give --cache a folder that can be");
  path_ = (fs::path(directory) / (corpus + ".json")).string();
  if (!fs::exists(path_, failed)) return;
  const Json known = Json::parse(read_file(path_), nullptr, /*allow_exceptions=*/false);
  if (known.is_object() && known.contains("rows") && known["rows"].is_object()) rows_ = known["rows"];
}

std::optional<CodecSize> BaselineCache::find(const std::string& row, const std::string& version) const {
  const auto known = rows_.find(row);
  if (known == rows_.end()) return std::nullopt;
  try {
    if (known->at("version").get<std::string>() != version) return std::nullopt;
    return CodecSize{known->at("bytes").get<std::int64_t>(), known->at("cpu_seconds").get<double>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void BaselineCache::put(const std::string& row, const std::string& version, const CodecSize& size) {
  if (version.empty()) return;  // it could not be told when that is another
  Json entry = {{"version", version}, {"bytes", size.bytes}, {"cpu_seconds", size.cpu_seconds}};
  if (rows_.contains(row) && rows_[row] == entry) return;
  rows_[row] = std::move(entry);
  changed_ = true;
}

void BaselineCache::save() const {
  if (path_.empty() || !changed_) return;
  write_file_atomically(path_, Json{{"schema", 1}, {"rows", rows_}}.dump(2) + "\n");
}

}  // namespace lmbits::cli
