// The number of a piece by its text: a hash table of numbers alone, whose texts stay where they are.
#pragma once
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/word_cache.h"

namespace lmbits {

class PieceIndex {
 public:
  PieceIndex() = default;
  explicit PieceIndex(std::size_t n_pieces) : slots_(std::bit_ceil(2 * n_pieces + 2), kNone) {}

  // `pieces` holds the text at place `id`, here and in find(). Of equal texts the first counts.
  void put(const std::vector<std::string>& pieces, std::uint32_t id) {
    std::uint32_t& slot = slots_[place_of(pieces, pieces[id])];
    if (slot == kNone) slot = id;
  }
  std::optional<std::uint32_t> find(const std::vector<std::string>& pieces, std::string_view text) const {
    const std::uint32_t id = slots_[place_of(pieces, text)];
    return id == kNone ? std::nullopt : std::optional(id);
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::size_t place_of(const std::vector<std::string>& pieces, std::string_view text) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = word_hash(text) & mask;; i = (i + 1) & mask) {
      if (slots_[i] == kNone || pieces[slots_[i]] == text) return i;
    }
  }
  std::vector<std::uint32_t> slots_ = {kNone};
};

}  // namespace lmbits
