#include "src/cli/baseline_cache.h"

#include <filesystem>

#include "src/core/file.h"

namespace lmbits::cli {

namespace fs = std::filesystem;

BaselineCache::BaselineCache(const std::string& directory, const std::string& corpus) {
  if (directory.empty()) return;
  path_ = (fs::path(directory) / (corpus + ".json")).string();
  if (!fs::exists(path_)) return;
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
  Json entry = {{"version", version}, {"bytes", size.bytes}, {"cpu_seconds", size.cpu_seconds}};
  if (rows_.contains(row) && rows_[row] == entry) return;
  rows_[row] = std::move(entry);
  changed_ = true;
}

void BaselineCache::save() const {
  if (path_.empty() || !changed_) return;
  fs::create_directories(fs::path(path_).parent_path());
  write_file_atomically(path_, Json{{"schema", 1}, {"rows", rows_}}.dump(2) + "\n");
}

}  // namespace lmbits::cli
