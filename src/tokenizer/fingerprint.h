// What every tokenizer does alike: its fingerprint, the checks of a text's size and of an id.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lmbits {

// XXH3-128 of the kind, a NUL byte and whatever defines the tokenizer, as 32 hex digits.
std::string tokenizer_fingerprint(const std::string& kind, std::string_view definition);

// Lengths and places of one text are 32-bit numbers. Error(kData) for a text they do not reach over.
void check_text_size(std::string_view text);

// Error(kData) where `id` is not in [0, vocab_size).
void check_token_id(std::int32_t id, std::int64_t vocab_size);

}  // namespace lmbits
