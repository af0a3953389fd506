// From a word to ids: what a tokenizer's model does once the text is normalised and cut.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/merge_table.h"
#include "src/tokenizer/word_cache.h"

namespace lmbits {

// What a thread needs while it encodes. Caches belong to one model.
struct Workspace {
  WordCache cache;
  MergeWorkspace merging;
  std::vector<std::uint32_t> symbols;
  std::vector<std::int32_t> symbol_bytes;
};

// Ids and how many bytes of the word each stands for.
struct Pieces {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> n_bytes;
  void put(std::uint32_t id, std::int32_t bytes) {
    ids.push_back(static_cast<std::int32_t>(id));
    n_bytes.push_back(bytes);
  }
};

class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the word's tokens. n_bytes add up to the word's, unless nothing of it has a token.
  virtual void encode(std::string_view word, const char* text_end, Workspace& workspace, Pieces& pieces) const = 0;
};

}  // namespace lmbits
