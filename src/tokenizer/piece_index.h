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
  explicit PieceIndex(std::size_t n_pieces) : slots_(std::bit_ceil(2 * n_pieces + 2)) {}

  // `pieces` holds the text at place `id`, here and in find(). Of equal texts the first counts.
  void put(const std::vector<std::string>& pieces, std::uint32_t id) {
    const std::uint64_t hash = word_hash(pieces[id]);
    Slot& slot = slots_[place_of(pieces, pieces[id], hash)];
    if (slot.id == kNone) slot = {id, tag_of(hash)};
  }
  std::optional<std::uint32_t> find(const std::vector<std::string>& pieces, std::string_view text) const {
    const std::uint32_t id = slots_[place_of(pieces, text, word_hash(text))].id;
    return id == kNone ? std::nullopt : std::optional(id);
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Slot {
    std::uint32_t id = kNone, tag = 0;  // tag: of the hash, so that few other texts are looked at
  };
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }
  std::size_t place_of(const std::vector<std::string>& pieces, std::string_view text, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
      if (slots_[i].id == kNone || (slots_[i].tag == tag_of(hash) && pieces[slots_[i].id] == text)) return i;
    }
  }
  std::vector<Slot> slots_ = {Slot()};
};

}  // namespace lmbits
