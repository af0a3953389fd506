#include "src/tokenizer/unicode.h"

#include <map>

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
