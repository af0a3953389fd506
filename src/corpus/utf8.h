// UTF-8: validity and code points.
#pragma once
#include <cstdint>
#include <string_view>

namespace lmbits {

// Code points in `bytes`; where it is not UTF-8, each maximal ill-formed subpart counts as one (as U+FFFD would;
// Unicode 15 section 3.9, the practice of Python's errors="replace").
std::int64_t count_code_points(std::string_view bytes);

// The length of the longest valid UTF-8 prefix (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
std::size_t valid_utf8_prefix(std::string_view bytes);

// The length, 1 to 4, of the valid character that `bytes` begins with; 0 where it begins with none.
std::size_t utf8_character_length(std::string_view bytes);

}  // namespace lmbits
