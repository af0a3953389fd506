// Shares as people type them.
#pragma once
#include <string>

namespace lmbits::cli {

// "0.2%" or "0.002". Throws Error(kUsage) that names the flag.
double parse_share(const std::string& text, const std::string& flag);

}  // namespace lmbits::cli
