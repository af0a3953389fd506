// The time of day, as manifests and reports write it.
#pragma once
#include <string>

namespace lmbits {

std::string utc_now();  // "2026-01-31T23:59:59Z"

}  // namespace lmbits
