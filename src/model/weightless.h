// Models without weights, over bytes: known answers for tests and for sanity.
#pragma once
#include <memory>
#include <string>

#include "src/model/language_model.h"

namespace lmbits {

// uniform:V (V >= 256): every byte costs log2 V bits, exactly. An empty name stands for uniform-V.
std::unique_ptr<LanguageModel> make_uniform_model(const std::string& name, std::int64_t vocab_size);

// bigram:FILE: p(b | a) = (n(a, b) + 1) / (n(a) + 256), counts over FILE's adjacent bytes; after BOS, the bytes' own
// frequencies (n(b) + 1) / (n + 256). Laplace's rule of succession, so every text has finite bits.
std::unique_ptr<LanguageModel> make_bigram_model(const std::string& name, const std::string& training_bytes);

}  // namespace lmbits
