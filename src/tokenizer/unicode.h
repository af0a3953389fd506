// What tokenizers ask of a code point: Unicode 16.0, pinned, so that ids do not depend on the machine's libraries.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

enum class CharClass : std::uint8_t {
  kOther,
  kUpper,        // Lu
  kLower,        // Ll
  kTitle,        // Lt
  kModifier,     // Lm
  kOtherLetter,  // Lo
  kMark,         // M
  kNumber,       // N
  kSpace,        // \s: U+0009-000D, U+0085, Z
};

// Bits above the class, in the low four bits of a property byte.
inline constexpr std::uint8_t kUnstableNfc = 0x10;    // NFC may change it, or what stands before it
inline constexpr std::uint8_t kNewToUnicode9 = 0x20;  // has a normalisation that Unicode 9.0 does not know
inline constexpr std::uint8_t kWordChar = 0x40;       // \w: Alphabetic, M, Nd, Pc, joiners
inline constexpr std::uint8_t kPunctuation = 0x80;    // ASCII punctuation and symbols, and P of Unicode 8.0

class UnicodeTable {
 public:
  static const UnicodeTable& instance();

  std::uint8_t properties(std::uint32_t code_point) const {
    return blocks_[std::size_t{pages_[code_point >> 8]} << 8 | (code_point & 255)];
  }
  CharClass char_class(std::uint32_t code_point) const { return static_cast<CharClass>(properties(code_point) & 15); }

 private:
  UnicodeTable();
  std::vector<std::uint8_t> blocks_;
  std::array<std::uint16_t, 0x1100> pages_{};
};

inline bool is_letter(CharClass c) { return c >= CharClass::kUpper && c <= CharClass::kOtherLetter; }

struct Decoded {
  std::uint32_t code_point;  // kInvalidByte for a byte that begins no valid character
  std::uint32_t n_bytes;     // 1 for an invalid byte
};
inline constexpr std::uint32_t kInvalidByte = 0xFFFFFFFF;

// The character at `p` < `end`. What is valid is said in src/corpus/utf8.h; here for speed, and inline.
[[gnu::always_inline]] inline Decoded decode_utf8(const char* p, const char* end) {
  const auto byte = [p](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])); };
  const auto follows = [&](int i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) {
    if (lead >= 0xC2 && end - p >= 2 && follows(1)) return {(lead & 31) << 6 | (byte(1) & 63), 2};
  } else if (lead < 0xF0) {
    if (end - p >= 3 && follows(1) && follows(2)) {
      const std::uint32_t c = (lead & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63);
      if (c >= 0x800 && (c < 0xD800 || c > 0xDFFF)) return {c, 3};
    }
  } else if (lead < 0xF5 && end - p >= 4 && follows(1) && follows(2) && follows(3)) {
    const std::uint32_t c = (lead & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63);
    if (c >= 0x10000 && c <= 0x10FFFF) return {c, 4};
  }
  return {kInvalidByte, 1};
}
void append_utf8(std::string& text, std::uint32_t code_point);

// The code point's properties at `p`; an invalid byte has none, like U+FFFD.
[[gnu::always_inline]] inline std::uint8_t properties_at(const UnicodeTable& table, const char* p, const char* end,
                                                         std::uint32_t& n_bytes) {
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) {
    n_bytes = 1;
    return table.properties(byte);
  }
  const Decoded decoded = decode_utf8(p, end);
  n_bytes = decoded.n_bytes;
  return decoded.code_point == kInvalidByte ? std::uint8_t{0} : table.properties(decoded.code_point);
}

}  // namespace lmbits
