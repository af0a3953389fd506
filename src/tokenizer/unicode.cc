#include "src/tokenizer/unicode.h"

#include <algorithm>
#include <map>

#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

struct Range {
  std::uint32_t first;
  std::uint8_t properties;
};

constexpr Range kRanges[] = {
#include "src/tokenizer/unicode_tables.inc"
};

}  // namespace

UnicodeTable::UnicodeTable() {
  std::map<std::array<std::uint8_t, 256>, std::uint16_t> known;  // blocks that differ; most code points share a few
  std::size_t range = 0;
  for (std::uint32_t page = 0; page < pages_.size(); ++page) {
    std::array<std::uint8_t, 256> block{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      while (range + 1 < std::size(kRanges) && kRanges[range + 1].first <= (page << 8 | i)) ++range;
      block[i] = kRanges[range].properties;
    }
    const auto [found, is_new] = known.try_emplace(block, static_cast<std::uint16_t>(known.size()));
    if (is_new) blocks_.insert(blocks_.end(), block.begin(), block.end());
    pages_[page] = found->second;
  }
}

const UnicodeTable& UnicodeTable::instance() {
  static const UnicodeTable table;
  return table;
}

Decoded decode_utf8(const char* p, const char* end) {
  const auto n_left = static_cast<std::size_t>(std::min<std::ptrdiff_t>(end - p, 4));
  const auto n = static_cast<std::uint32_t>(utf8_character_length({p, n_left}));
  const auto byte = [&](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])); };
  switch (n) {
    case 1:
      return {byte(0), 1};
    case 2:
      return {(byte(0) & 31) << 6 | (byte(1) & 63), 2};
    case 3:
      return {(byte(0) & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63), 3};
    case 4:
      return {(byte(0) & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63), 4};
    default:
      return {kInvalidByte, 1};
  }
}

void append_utf8(std::string& text, std::uint32_t c) {
  const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  }
}

}  // namespace lmbits
