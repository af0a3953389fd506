// What standard output is: how wide, and whether it takes colours.
#pragma once
#include <string>

#include "src/report/table.h"

namespace lmbits::cli {

// The terminal's width, 100 where there is none. Colours on a terminal, unless NO_COLOR is set (no-color.org).
TextStyle stdout_style();

// Prints to standard output; throws Error(kData) where that fails (a full disk behind a redirection).
void print(const std::string& text);

}  // namespace lmbits::cli
