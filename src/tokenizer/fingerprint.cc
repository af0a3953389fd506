#include "src/tokenizer/fingerprint.h"

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {

std::string tokenizer_fingerprint(const std::string& kind, std::string_view definition) {
  return Fingerprint().add(kind).add(std::string_view("\0", 1)).add(definition).hex();
}

void check_token_id(std::int32_t id, std::int64_t vocab_size) {
  if (id >= 0 && id < vocab_size) return;
  throw Error(ErrorKind::kData,
              "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size),
              "were these ids made with another tokenizer?");
}

}  // namespace lmbits
