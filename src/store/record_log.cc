#include "src/store/record_log.h"

#include "src/core/error.h"
#include "src/store/checked_line.h"

namespace lmbits {
namespace {

constexpr int kSchema = 1;

std::string printed(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void require_same(const Json& then, const Json& now, const std::string& path) {
  std::string changes;
  for (const auto& [key, value] : now.items()) {
    const Json before = then.is_object() ? then.value(key, Json()) : Json();
    if (before != value)
      changes += (changes.empty() ? "" : "; ") + key + " was " + printed(before) + ", is " + printed(value);
  }
  if (!changes.empty()) {
    throw Error(ErrorKind::kConfig, path + " was begun otherwise: " + changes,
                "restore what was, remove that file, or choose another folder with -o");
  }
}

// Calls `visit` with each line that ends in a newline.
template <typename Visit>
void for_each_whole_line(const std::string& text, Visit visit) {
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    visit(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace

RecordLog::RecordLog(const std::filesystem::path& path, const Json& identity,
                     const std::function<bool(const Json&)>& keep) {
  const std::string header = checked_line({{"schema", kSchema}, {"identity", identity}}) + "\n";
  const std::string text = std::filesystem::exists(path) ? read_file(path) : "";
  std::string kept = header;
  bool is_header = true;
  for_each_whole_line(text, [&](const std::string& line) {
    std::optional<Json> json = parse_checked_line(line);
    if (std::exchange(is_header, false)) {
      if (!json || json->value("schema", Json()) != kSchema)
        throw Error(ErrorKind::kData, path.string() + " does not begin as this program writes it", "remove that file");
      require_same(json->value("identity", Json()), identity, path.string());
    } else if (json && keep(*json)) {
      kept += line + "\n";
      done_.push_back(std::move(*json));
    }
  });
  if (kept != text) write_file_atomically(path, kept);
  file_.emplace(path, static_cast<std::int64_t>(kept.size()));
}

void RecordLog::append(const Json& record) { file_->append(checked_line(record)); }

void RecordLog::sync() { file_->sync(); }

}  // namespace lmbits
