// A tokenizer that remembers the texts it has encoded: many models that share one score the same corpus one by one.
#pragma once
#include <memory>

#include "src/tokenizer/tokenizer.h"

namespace lmbits {

// As `tokenizer`, in all it does. Texts are known again by a hash of 128 bits and their length; once `capacity_bytes` of
// ids and lengths are held, new texts are encoded and not kept. Thread-safe.
std::shared_ptr<Tokenizer> make_remembering_tokenizer(std::unique_ptr<Tokenizer> tokenizer, std::size_t capacity_bytes);

// A handle on a tokenizer that others hold, too.
std::unique_ptr<Tokenizer> share_tokenizer(std::shared_ptr<Tokenizer> tokenizer);

}  // namespace lmbits
