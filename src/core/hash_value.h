// XXH3 of bytes as numbers, for tables and checksums; Fingerprint (hash.h) is the same for people.
#pragma once
#include <compare>
#include <cstdint>
#include <string_view>

namespace lmbits {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);  // XXH3-64

// XXH3-128: equal values stand for equal bytes.
struct Hash128 {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const Hash128&) const = default;
};
Hash128 hash128(std::string_view bytes);

}  // namespace lmbits
