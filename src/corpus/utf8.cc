#include "src/corpus/utf8.h"

#include <cstring>

namespace lmbits {
namespace {

struct Step {
  std::size_t length;  // of the character, or of the maximal ill-formed subpart; at least 1
  bool valid;
};

// Unicode 15, table 3-7. What a lead byte allows: how many bytes follow, and the range of the first of them, which is
// where overlong forms (E0, F0), surrogates (ED) and values over U+10FFFF (F4) are ruled out.
struct Lead {
  std::size_t n_following;
  unsigned char second_min, second_max;
};

Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

// The character or the ill-formed subpart at `at`, which must be inside.
Step step(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (byte(at) < 0x80) return {1, true};
  const Lead lead = lead_of(byte(at));
  for (std::size_t k = 1; k <= lead.n_following; ++k) {
    const unsigned char min = k == 1 ? lead.second_min : 0x80;
    const unsigned char max = k == 1 ? lead.second_max : 0xBF;
    if (at + k >= bytes.size() || byte(at + k) < min || byte(at + k) > max) return {k, false};
  }
  return {lead.n_following + 1, lead.n_following > 0};
}

// How many of the bytes from `at` on are ASCII, in steps of eight: most text is, and this is what makes it cheap.
std::size_t ascii_run(std::string_view bytes, std::size_t at) {
  const std::size_t begin = at;
  for (std::uint64_t word; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (word & 0x8080808080808080u) break;
  }
  return at - begin;
}

}  // namespace

std::int64_t CharacterCounter::count_until(std::size_t end) {
  std::int64_t n = 0;
  while (at_ < end) {
    const std::size_t ascii = ascii_run(text_.substr(0, end), at_);
    at_ += ascii;
    n += static_cast<std::int64_t>(ascii);
    if (at_ >= end) break;
    at_ += step(text_, at_).length;
    ++n;
  }
  return n;
}

std::int64_t count_code_points(std::string_view bytes) { return CharacterCounter(bytes).count_until(bytes.size()); }

std::size_t valid_utf8_prefix(std::string_view bytes) {
  std::size_t at = 0;
  while (true) {
    at += ascii_run(bytes, at);
    if (at == bytes.size()) return at;
    const Step next = step(bytes, at);
    if (!next.valid) return at;
    at += next.length;
  }
}

std::size_t utf8_character_length(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const Step first = step(bytes, 0);
  return first.valid ? first.length : 0;
}

}  // namespace lmbits
