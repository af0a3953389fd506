#include "src/tokenizer/fingerprint.h"

#include <limits>

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {

std::string tokenizer_fingerprint(const std::string& kind, std::string_view definition) {
  return Fingerprint().add(kind).add(std::string_view("\0", 1)).add(definition).hex();
}

void check_text_size(std::string_view text) {
  if (text.size() < std::size_t{std::numeric_limits<std::int32_t>::max()}) return;
  throw Error(ErrorKind::kData,
              "a document of " + std::to_string(text.size()) + " bytes is too long: 2 GiB is the most",
              "cut it: --split paragraphs, or a number of bytes");
}

void check_token_id(std::int32_t id, std::int64_t vocab_size) {
  if (id >= 0 && id < vocab_size) return;
  throw Error(ErrorKind::kData,
              "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size),
              "were these ids made with another tokenizer?");
}

}  // namespace lmbits
