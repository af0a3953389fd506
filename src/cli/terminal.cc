#include "src/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace lmbits::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string two_digits(std::int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); }

}  // namespace

Terminal terminal_of(std::FILE* stream) {
  Terminal terminal;
  terminal.is_terminal = isatty(fileno(stream)) == 1;
  if (!terminal.is_terminal) return terminal;
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  terminal.color = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  return terminal;
}

std::string format_si(double value) {
  static constexpr std::string_view kPrefixes[] = {"", " k", " M", " G", " T", " P", " E"};
  std::size_t prefix = 0;
  // 999.5, not 1000: what would round up to four digits takes the next prefix.
  for (; value >= 999.5 && prefix + 1 < std::size(kPrefixes); ++prefix) value /= 1000.0;
  const bool is_small_integer = prefix == 0 && value == std::floor(value);
  const int decimals = is_small_integer || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return std::string(text) += kPrefixes[prefix];
}

std::string format_duration(double seconds) {
  if (seconds < 9.95) {
    char text[32];
    std::snprintf(text, sizeof text, seconds < 0.995 ? "%.2f s" : "%.1f s", seconds);
    return text;
  }
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  if (total < 60) return std::to_string(total) + " s";
  if (total < 3600) return std::to_string(total / 60) + " min " + two_digits(total % 60) + " s";
  const std::int64_t minutes = total / 60;
  if (minutes < 24 * 60) return std::to_string(minutes / 60) + " h " + two_digits(minutes % 60) + " min";
  return std::to_string(minutes / (24 * 60)) + " d " + std::to_string(minutes / 60 % 24) + " h";
}

}  // namespace lmbits::cli
