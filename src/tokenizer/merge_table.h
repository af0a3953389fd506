// The merge engine of every BPE kind: which neighbours become one symbol, and in which order.
//
// Merging (Sennrich et al. 2016, arXiv 1508.07909): of all neighbouring pairs that a rule names, the one of the lowest
// rank, and of several the leftmost, is replaced by the rule's result, until no rule applies. Up to 96 symbols that
// is a scan over an array; beyond, a list with a heap of candidates: O(n log n), whatever the text.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lmbits {

struct MergeRule {
  std::uint32_t left, right, result;  // symbols: ids, or numbers from kRawSymbol on
  std::uint32_t rank;                 // rules may share one
};

inline constexpr std::uint32_t kRawSymbol = 0x80000000;  // | code point: a character that is no piece

struct MergeWorkspace {  // of one thread; its vectors keep their memory between words
  std::vector<std::uint32_t> next, previous, ranks, results;
  std::vector<std::uint64_t> heap;
};

class MergeTable {
 public:
  MergeTable() = default;
  explicit MergeTable(std::span<const MergeRule> rules);  // of two rules for one pair the later counts

  void merge(std::vector<std::uint32_t>& symbols, MergeWorkspace& workspace) const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Slot {
    std::uint64_t pair;
    std::uint32_t rank, result;
  };
  const Slot& find(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t pair = std::uint64_t{left} << 32 | right;
    for (std::uint64_t i = mix(pair) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].pair == pair || slots_[i].pair == kEmpty) return slots_[i];  // an empty one has rank kNone
    }
  }
  static std::uint64_t mix(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
  }
  void merge_by_scan(std::vector<std::uint32_t>& symbols) const;
  void merge_by_heap(std::vector<std::uint32_t>& symbols, MergeWorkspace& workspace) const;

  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::vector<Slot> slots_ = {{kEmpty, kNone, kNone}};
  std::uint64_t mask_ = 0;
};

}  // namespace lmbits
