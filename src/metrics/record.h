// What is known of one scored document (or block of windows), and what a run adds up to.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"

namespace lmbits {

struct DocumentRecord {
  std::string id;
  std::int64_t n_bytes = 0;    // of the source, raw
  std::int64_t n_chars = 0;    // code points of the source
  std::int64_t n_tokens = 0;   // of the document, without BOS
  std::int64_t n_scored = 0;   // of them, how many were scored
  std::int64_t n_forward = 0;  // positions fed to the model, without padding
  double bits = 0.0;           // sum over the scored tokens of -log2 p
  double bits_squared = 0.0;   // sum over the scored tokens of (-log2 p)^2: for llama-ppl's error bar
  std::int64_t n_words = 0;    // as lm-eval counts them: for its word_perplexity; 0 in blocks of a stream
  bool lossless = true;        // decode(encode(text)) == text
  std::string error;           // not empty: failed, and why; `bits` is then 0 and means nothing
  std::string category = {};   // what its corpus.json says it is of

  // For the block bootstrap: the document cut every `block_bytes` bytes, each token's bits counted in the block that
  // holds its first byte. Empty for documents of one block. The block size depends on n_bytes alone, so blocks pair up
  // between models and tokenizers. sum(block_bits) == bits up to rounding.
  std::int64_t block_bytes = 0;
  std::vector<double> block_bits;

  std::map<std::string, std::int64_t> baselines;  // compressed bytes of this document alone, e.g. {"gzip-9", 1234}
};

// The block size for a document of n bytes: 4096, doubled until there are at most 1024 blocks.
std::int64_t block_bytes_for(std::int64_t n_bytes);

// Its category, else what stands before the first '/' of its id; empty where there is neither.
std::string category_of(const DocumentRecord& record);

// The records by category; empty where there are fewer than two categories, or more than 40, which are no categories.
std::map<std::string, std::vector<DocumentRecord>> by_category(const std::vector<DocumentRecord>& records);

// Is so little scored (below 90 % of the tokens, as llama-ppl's half) that bits over all bytes do not say what the text
// needs?
bool leaves_much_unscored(std::int64_t n_scored, std::int64_t n_tokens);

Json to_json(const DocumentRecord& record);         // without the checksum, which the store adds
DocumentRecord record_from_json(const Json& json);  // throws Error(kData) naming the key that is missing or wrong

struct Totals {
  std::int64_t n_documents = 0;  // scored
  std::int64_t n_failed = 0;     // their bytes and bits are in none of the sums below
  std::int64_t n_lossy = 0;
  std::int64_t n_bytes = 0, n_chars = 0, n_tokens = 0, n_scored = 0, n_forward = 0;
  double bits = 0.0;

  std::optional<double> bits_per_byte() const;
  std::optional<double> bits_per_char() const;
  std::optional<double> bits_per_token() const;  // per scored token
  std::optional<double> ratio() const;           // 8 * bytes / bits, higher is better
};

// Sums in the order given, with compensation (Neumaier), so equal records give equal totals to the last bit.
Totals total(const std::vector<DocumentRecord>& records);

}  // namespace lmbits
