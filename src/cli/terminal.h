// What a stream is connected to, and numbers as people read them.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

namespace lmbits::cli {

struct Terminal {
  bool is_terminal = false;
  std::size_t width = 100;  // character cells; 100 where there is no terminal to ask
  bool color = false;       // on a terminal that is not "dumb", unless NO_COLOR is set to anything (no-color.org)
};

Terminal terminal_of(std::FILE* stream);

// Three significant digits and a decimal prefix: "0", "12.5", "999", "1.23 k", "45.6 M"; integers below 1000 as they
// are. `value` >= 0.
std::string format_si(double value);

// "0.42 s", "1.5 s", "12 s", "3 min 12 s", "2 h 05 min", "3 d 4 h"; `seconds` >= 0.
std::string format_duration(double seconds);

}  // namespace lmbits::cli
