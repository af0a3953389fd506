// The merge engine of every BPE kind: which neighbours become one symbol, and in which order.
//
// Merging (Sennrich et al. 2016, arXiv 1508.07909): of all neighbouring pairs that a rule names, the one of the lowest
// rank, and of several the leftmost, is replaced by the rule's result, until no rule applies. Up to 64 symbols that
// is a scan over an array; beyond, a list with a heap of candidates: O(n log n), whatever the text.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lmbits {

struct MergeRule {
  std::uint32_t left, right, result;  // symbols: ids, or numbers from kRawSymbol on
  std::uint32_t rank;                 // rules may share one
};

inline constexpr std::uint32_t kRawSymbol = 0x80000000;  // | code point: a character that is no piece

// Of one thread; its vectors keep their memory between words.
struct MergeWorkspace {
  std::vector<std::uint32_t> symbols;  // in and out
  std::vector<std::uint32_t> begins;   // out: of each symbol, which of those before merging it begins with
  std::uint64_t n_steps = 0;           // candidates looked at, in all: what the time grows with
  std::vector<std::uint32_t> next, previous, ranks, results;
  std::vector<std::uint64_t> heap;
};

class MergeTable {
 public:
  MergeTable() = default;
  explicit MergeTable(std::span<const MergeRule> rules);  // of two rules for one pair the later counts

  // Symbols for bytes, which merge_bytes() begins with.
  void set_byte_symbols(std::span<const std::uint32_t, 256> symbols);

  void merge(MergeWorkspace& workspace) const;
  // The same from the bytes' symbols on.
  void merge_bytes(std::string_view bytes, MergeWorkspace& workspace) const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Merge {
    std::uint32_t rank = kNone, result = kNone;
  };
  struct Slot {
    std::uint64_t pair;
    Merge merge;
  };
  Merge find(std::uint32_t left, std::uint32_t right) const;
  static std::uint64_t mix(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return key ^ key >> 32;
  }
  template <typename FirstMerge>
  void merge_by_scan(FirstMerge first_merge, MergeWorkspace& workspace) const;
  void merge_by_heap(MergeWorkspace& workspace) const;

  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::vector<Slot> slots_ = {{kEmpty, {}}};
  std::uint64_t mask_ = 0;
  // A bit for each hash of a pair, 16 for each rule: most pairs are named by no rule, and this is the smaller table.
  std::vector<std::uint64_t> named_ = {0};
  std::uint64_t named_mask_ = 0;
  std::vector<std::uint32_t> byte_symbols_;
  std::vector<Merge> byte_merges_;  // of each two bytes: left << 8 | right
};

}  // namespace lmbits
