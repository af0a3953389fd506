// The file that `lmbits compress` writes, NAME.lmb: docs/formats.md has it byte by byte.
//
// Whatever was flipped, cut off or appended is an Error(kData): a checksum over the header and the table of blocks, one
// over each block's coded bytes, one over what each block decodes to, and a fingerprint of the whole original.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/json.h"

namespace lmbits {

struct ContainerBlock {
  std::uint32_t original_crc = 0;  // CRC-32C of what it decodes to
  std::string payload;
};

inline constexpr std::uint32_t kContainerVersion = 3;  // is written

struct Container {
  // Of the file that was read: 2 or 3. Blocks are the same; what `info` says of arithmetic is not (docs/formats.md).
  std::uint32_t version = kContainerVersion;
  Json info;                     // what the decoder must have and do: see docs/formats.md
  std::int64_t n_bytes = 0;      // of the original
  std::int64_t block_bytes = 0;  // of the original in each block but the last; 0: one block has it all
  std::string fingerprint;       // XXH3-128 of the original, 32 hex digits
  std::vector<ContainerBlock> blocks;
};

// How many blocks an original of n_bytes is cut into: none where it is empty.
std::int64_t n_container_blocks(std::int64_t n_bytes, std::int64_t block_bytes);

// Bytes of the original in block i.
std::int64_t container_block_bytes(const Container& container, std::int64_t i);

// Of kContainerVersion, whatever `container` was read from.
std::string write_container(const Container& container);

// Throws Error(kData) naming what is wrong with `bytes`, and Error(kUnsupported) for a version that is not known. `where`
// names the file. All but the coded bytes' meaning is verified.
Container read_container(std::string_view bytes, const std::string& where);

// Numbers of 7 bits a byte, the lowest first, the highest bit set in all but the last (LEB128).
void append_varint(std::string& bytes, std::uint64_t value);

// Takes a number off the front of `bytes`. Throws Error(kData) where there is none that fits 64 bits.
std::uint64_t take_varint(std::string_view& bytes, const std::string& where);

}  // namespace lmbits
