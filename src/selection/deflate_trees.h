// The bits that zlib's deflate needs for one block, from the histogram of its symbols.
#pragma once
#include <array>
#include <cstdint>

namespace lmbits {

inline constexpr int kLiteralCodes = 286;  // literals, end of block (256), lengths
inline constexpr int kDistanceCodes = 30;
inline constexpr int kEndOfBlock = 256;

struct BlockHistogram {
  std::array<std::uint16_t, kLiteralCodes> literals{};
  std::array<std::uint16_t, kDistanceCodes> distances{};
};

struct BlockBits {
  std::int64_t dynamic_bits;  // trees included
  std::int64_t static_bits;
};

// RFC 1951, with the trees that zlib builds (among the optimal ones it has its own, and the description of a tree
// depends on which). Neither includes the 3 bits that begin a block.
BlockBits block_bits(const BlockHistogram& histogram);

// RFC 1951, section 3.2.5.
int length_code(int length);      // 3 ... 258 -> 257 ... 285
int distance_code(int distance);  // 1 ... 32768 -> 0 ... 29

}  // namespace lmbits
