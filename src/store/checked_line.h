// A JSON object on a line of its own, with a checksum: {..., "crc":"xxxxxxxx"}, that of the object without its last key.
#pragma once
#include <optional>
#include <string>

#include "src/core/json.h"

namespace lmbits {

// Without the newline. Bytes that are not UTF-8 become U+FFFD.
std::string checked_line(const Json& object);

// The object, without `crc`; nullopt where the line is torn or corrupt.
std::optional<Json> parse_checked_line(const std::string& line);

}  // namespace lmbits
