#include "src/store/checked_line.h"

#include <string_view>

#include "src/core/hash.h"

namespace lmbits {
namespace {

constexpr std::string_view kCrcKey = ",\"crc\":\"";
constexpr std::size_t kCrcTail = kCrcKey.size() + 8 + 2;  // ,"crc":"xxxxxxxx"}

}  // namespace

std::string checked_line(const Json& object) {
  std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string crc = crc32c_hex(line);
  line.pop_back();
  return line.append(kCrcKey).append(crc).append("\"}");
}

std::optional<Json> parse_checked_line(const std::string& line) {
  if (line.size() <= kCrcTail) return std::nullopt;
  const std::string text = line.substr(0, line.size() - kCrcTail) + "}";
  if (line.substr(text.size() - 1) != std::string(kCrcKey) + crc32c_hex(text) + "\"}") return std::nullopt;
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? std::nullopt : std::optional<Json>(std::move(json));
}

}  // namespace lmbits
