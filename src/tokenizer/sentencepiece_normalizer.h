// What SentencePiece does to a text before its model sees it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/aligned_text.h"
#include "src/tokenizer/sentencepiece_model.h"
#include "src/tokenizer/word_models.h"

namespace lmbits {

// Replaces the longest beginnings that a model's table knows, drops or doubles no white space where the model says so, writes
// "▁" for spaces and in front. User-defined pieces pass unchanged. As SentencePiece 0.2.3 does it.
class SentencePieceNormalizer {
 public:
  // Throws Error(kModel) where the settings' table is damaged.
  SentencePieceNormalizer(SentencePieceSettings settings, const std::vector<std::string>& user_defined);

  SentencePieceNormalizer(const SentencePieceNormalizer&) = delete;  // views of its own settings
  SentencePieceNormalizer& operator=(const SentencePieceNormalizer&) = delete;

  // `run` is UTF-8. `at_start`: of the text, where "▁" is put.
  AlignedText apply(std::string_view run, bool at_start) const;

 private:
  struct Step {
    std::string_view text;  // in place of
    std::size_t n_bytes;    // so many of the run
  };
  Step next(std::string_view rest) const;
  std::uint32_t unit(std::size_t at) const;

  SentencePieceSettings settings_;
  std::string_view units_, texts_;  // of the table: a double-array trie, and what its values point into
  PieceTrie user_defined_;
};

}  // namespace lmbits
