// From words to ids: what a tokenizer's model does once the text is normalised and cut.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/merge_table.h"
#include "src/tokenizer/pieces.h"
#include "src/tokenizer/word_cache.h"

namespace lmbits {

// What a thread needs while it encodes. Belongs to one model.
struct Workspace {
  WordCache cache;
  MergeWorkspace merging;
  Pieces pieces;  // of the text in work
  std::vector<std::int32_t> symbol_bytes;
};

class WordModel {
 public:
  virtual ~WordModel() = default;

  // Appends the tokens of words that lie one behind the other from `text` on, `lengths` bytes each, and returns their end.
  // n_bytes add up to each word's, unless nothing of it has a token. Up to `readable_end` may be read.
  const char* encode(const char* text, std::span<const std::uint32_t> lengths, const char* readable_end,
                     Workspace& workspace, Pieces& pieces) const;

  // The same for one word of any length, which a model may cut where that changes nothing.
  virtual void encode_long(std::string_view word, const char* readable_end, Workspace& workspace,
                           Pieces& pieces) const {
    encode_unknown(word, readable_end, workspace, pieces);
  }

  // What each id decodes to: by this a word's tokens are compared with the word when it is first seen. Kept by reference.
  void set_surfaces(const std::vector<std::string>& surfaces) { surfaces_ = &surfaces; }

  // Puts into a new thread's cache what is known before the first text.
  virtual void fill(WordCache&) const {}

 protected:
  // A word that the cache does not hold.
  virtual void encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                             Pieces& pieces) const = 0;
  // A word that is in no short slot: from the arena or afresh.
  void encode_unknown(std::string_view word, const char* readable_end, Workspace& workspace, Pieces& pieces) const;

  // Do the tokens from `first` on decode to `unseen` and the word, each to as many bytes as it stands for (but for
  // `unseen`, which is no part of the text)?
  bool comes_back(std::string_view word, const Pieces& pieces, std::size_t first, std::string_view unseen = "") const;

  // What decode() puts for an id; nullptr where that is not known.
  const std::string* surface(std::size_t id) const { return surfaces_ ? &(*surfaces_)[id] : nullptr; }

  std::size_t cut_beyond_ = ~std::size_t{0};  // encode() hands words of more bytes to encode_long()

 private:
  const char* encode_some(const char* text, std::span<const std::uint32_t> lengths, const char* readable_end,
                          Workspace& workspace, Pieces& pieces) const;

  const std::vector<std::string>* surfaces_ = nullptr;
};

}  // namespace lmbits
