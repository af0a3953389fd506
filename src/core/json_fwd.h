// The name Json alone, for headers that only declare what takes or returns it: nlohmann's own costs each file half a second.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace lmbits {

using Json = nlohmann::ordered_json;

}  // namespace lmbits
