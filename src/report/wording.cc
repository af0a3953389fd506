#include "src/report/wording.h"

#include <cstdio>

namespace lmbits {

std::string metric_key(Metric metric) {
  return metric == Metric::kBitsPerByte ? "bits_per_byte" : metric == Metric::kBitsPerChar ? "bits_per_char" : "ratio";
}

std::string metric_title(Metric metric) {
  return metric == Metric::kBitsPerByte ? "bits/byte ↓" : metric == Metric::kBitsPerChar ? "bits/char ↓" : "ratio ↑";
}

std::string percent_as_given(double share) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g %%", 100.0 * share);
  return buffer;
}

std::string counted(std::int64_t n, const std::string& noun) {
  return with_thousands(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string with_thousands(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && digits[i - 1] != '-' && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace lmbits
