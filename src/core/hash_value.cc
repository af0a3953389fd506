#include "src/core/hash_value.h"

#include <xxhash.h>

namespace lmbits {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.empty() ? "" : bytes.data(), bytes.size(),
                              seed);  // of no bytes, data() may be null
}

Hash128 hash128(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.empty() ? "" : bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace lmbits
