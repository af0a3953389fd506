// How deep a JSON text nests, before it is parsed.
#pragma once
#include <cstddef>
#include <string_view>

namespace lmbits {

// Do the brackets of a JSON text nest deeper than `limit`? Copying and writing values takes a stack frame a level, so text of
// strangers is asked before it is parsed.
inline bool nests_deeper(std::string_view json, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') in_string = true;
    if ((c == '[' || c == '{') && ++depth > limit) return true;
    if (c == ']' || c == '}') --depth;
  }
  return false;
}

}  // namespace lmbits
