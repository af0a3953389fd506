// JSON as this project uses it: objects keep their order, undefined numbers are null.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>

namespace lmbits {

using Json = nlohmann::ordered_json;

// An undefined number is null, never 0, -1 or NaN.
template <typename T>
Json to_json_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace lmbits
