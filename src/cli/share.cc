#include "src/cli/share.h"

#include <charconv>

#include "src/core/error.h"

namespace lmbits::cli {

double parse_share(const std::string& text, const std::string& flag) {
  const bool percent = text.ends_with('%');
  const char* const end = text.data() + text.size() - (percent ? 1 : 0);
  double value = 0.0;
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end || !(value >= 0.0) || value > 1e6) {
    throw Error(ErrorKind::kUsage, flag + " is \"" + text + "\", not a share", "write it as 0.2% or 0.002");
  }
  return percent ? value / 100.0 : value;
}

}  // namespace lmbits::cli
