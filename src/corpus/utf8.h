// UTF-8: validity and code points.
#pragma once
#include <cstdint>
#include <string_view>

namespace lmbits {

// Code points in `bytes`; where it is not UTF-8, each maximal ill-formed subpart counts as one (as U+FFFD would;
// Unicode 15 section 3.9, the practice of Python's errors="replace").
std::int64_t count_code_points(std::string_view bytes);

// The same for consecutive pieces of one text: a character (or ill-formed subpart) counts in the piece that holds its
// first byte, so the pieces add up to the whole wherever they are cut.
class CharacterCounter {
 public:
  // `text` must outlive the counter. The first `at` bytes belong to what was counted before.
  explicit CharacterCounter(std::string_view text, std::size_t at = 0) : text_(text), at_(at) {}
  // What begins before byte `end` and was not counted yet. Afterwards at() >= end: up to 3 bytes of the last one lie beyond.
  std::int64_t count_until(std::size_t end);
  std::size_t at() const { return at_; }

 private:
  std::string_view text_;
  std::size_t at_;
};

// The length of the longest valid UTF-8 prefix (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
std::size_t valid_utf8_prefix(std::string_view bytes);

// The length, 1 to 4, of the valid character that `bytes` begins with; 0 where it begins with none.
std::size_t utf8_character_length(std::string_view bytes);

}  // namespace lmbits
