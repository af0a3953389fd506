#include "src/tokenizer/fingerprint.h"

#include <xxhash.h>

#include <cstdio>

#include "src/core/error.h"

namespace lmbits {

std::string tokenizer_fingerprint(const std::string& kind, std::string_view definition) {
  std::string all = kind;
  all += '\0';
  all += definition;
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

void check_token_id(std::int32_t id, std::int64_t vocab_size) {
  if (id >= 0 && id < vocab_size) return;
  throw Error(ErrorKind::kData,
              "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size),
              "were these ids made with another tokenizer?");
}

}  // namespace lmbits
