#include "src/cli/stdout_style.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "src/cli/terminal.h"
#include "src/core/error.h"

namespace lmbits::cli {

TextStyle stdout_style() {
  constexpr std::size_t kMinWidth = 40;  // a table of a few letters a column helps nobody
  const Terminal terminal = terminal_of(stdout);
  return {.width = std::max(terminal.width, kMinWidth), .color = terminal.color};
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorKind::kData, std::string("cannot write to standard output: ") + std::strerror(errno));
  }
}

}  // namespace lmbits::cli
