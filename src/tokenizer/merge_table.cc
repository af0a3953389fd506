#include "src/tokenizer/merge_table.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

namespace lmbits {
namespace {

constexpr std::size_t kScanSymbols = 64;  // as many as a mask has bits; beyond, the heap is faster
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

}  // namespace

MergeTable::MergeTable(std::span<const MergeRule> rules) {
  const std::uint64_t n_slots = std::bit_ceil(rules.size() * 2 + 2);
  slots_.assign(n_slots, {kEmpty, {}});
  mask_ = n_slots - 1;
  named_.assign(std::max<std::uint64_t>(n_slots / 8, 1), 0);  // of 64 bits each: 8 to 16 for each rule
  named_mask_ = named_.size() * 64 - 1;
  for (const MergeRule& rule : rules) {
    const std::uint64_t pair = pair_of(rule.left, rule.right), hash = mix(pair);
    std::uint64_t i = hash & mask_;
    while (slots_[i].pair != pair && slots_[i].pair != kEmpty) i = (i + 1) & mask_;
    slots_[i] = {pair, {rule.rank, rule.result}};
    const std::uint64_t bit = hash >> 20 & named_mask_;
    named_[bit >> 6] |= std::uint64_t{1} << (bit & 63);
  }
}

void MergeTable::set_byte_symbols(std::span<const std::uint32_t, 256> symbols) {
  byte_symbols_.assign(symbols.begin(), symbols.end());
  byte_merges_.clear();
  for (const std::uint32_t left : symbols) {
    for (const std::uint32_t right : symbols) byte_merges_.push_back(find(left, right));
  }
}

MergeTable::Merge MergeTable::find(std::uint32_t left, std::uint32_t right) const {
  const std::uint64_t pair = pair_of(left, right), hash = mix(pair), bit = hash >> 20 & named_mask_;
  if (!(named_[bit >> 6] >> (bit & 63) & 1)) return {};
  for (std::uint64_t i = hash & mask_;; i = (i + 1) & mask_) {
    if (slots_[i].pair == pair || slots_[i].pair == kEmpty) return slots_[i].merge;  // an empty one has rank kNone
  }
}

void MergeTable::merge(MergeWorkspace& w) const {
  if (w.symbols.size() > kScanSymbols) return merge_by_heap(w);
  merge_by_scan([&](std::size_t i) { return find(w.symbols[i], w.symbols[i + 1]); }, w);
}

void MergeTable::merge_bytes(std::string_view bytes, MergeWorkspace& w) const {
  const auto byte = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(bytes[i])}; };
  w.symbols.resize(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) w.symbols[i] = byte_symbols_[byte(i)];
  if (bytes.size() > kScanSymbols) return merge_by_heap(w);
  merge_by_scan([&](std::size_t i) { return byte_merges_[byte(i) << 8 | byte(i + 1)]; }, w);
}

// Symbols stay where they are, `alive` says which are left. A candidate is rank << 32 | the left symbol's place, so the
// least of all is the next merge.
template <typename FirstMerge>
void MergeTable::merge_by_scan(FirstMerge first_merge, MergeWorkspace& w) const {
  std::uint64_t candidates[kScanSymbols];
  std::uint32_t results[kScanSymbols];
  const std::size_t n = w.symbols.size();
  std::uint32_t* const symbols = w.symbols.data();
  w.begins.clear();
  if (n == 0) return;
  const auto put = [&](std::size_t i, const Merge& merge) {
    candidates[i] = std::uint64_t{merge.rank} << 32 | i;
    results[i] = merge.result;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) put(i, first_merge(i));
  candidates[n - 1] = kNever;
  std::uint64_t alive = n == kScanSymbols ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
  while (true) {
    w.n_steps += n;
    std::uint64_t best = kNever;
    for (std::size_t i = 0; i < n; ++i) best = std::min(best, candidates[i]);
    if (best >> 32 == kNone) break;
    const std::size_t i = best & 63;
    const std::uint64_t behind = alive & ~std::uint64_t{1} << i;
    const auto gone = static_cast<std::size_t>(std::countr_zero(behind));
    symbols[i] = results[i];
    alive &= ~(std::uint64_t{1} << gone);
    candidates[gone] = kNever;
    if (const std::uint64_t rest = behind & (behind - 1)) {
      put(i, find(symbols[i], symbols[std::countr_zero(rest)]));
    } else {
      candidates[i] = kNever;
    }
    if (const std::uint64_t before = alive & ((std::uint64_t{1} << i) - 1)) {
      const auto left = static_cast<std::size_t>(63 - std::countl_zero(before));
      put(left, find(symbols[left], symbols[i]));
    }
  }
  std::size_t kept = 0;
  for (; alive; alive &= alive - 1) {
    const auto i = static_cast<std::uint32_t>(std::countr_zero(alive));
    w.begins.push_back(i);
    symbols[kept++] = symbols[i];
  }
  w.symbols.resize(kept);
}

// The list is `next` and `previous`; a candidate is rank << 32 | its left symbol's place, and is stale where that
// symbol's pair has another rank by now.
void MergeTable::merge_by_heap(MergeWorkspace& w) const {
  auto& symbols = w.symbols;
  const auto n = static_cast<std::uint32_t>(symbols.size());
  w.next.resize(n);
  w.previous.resize(n);
  w.ranks.resize(n);
  w.results.resize(n);
  w.heap.clear();
  const auto look_up = [&](std::uint32_t i) {
    if (w.next[i] >= n) return void(w.ranks[i] = kNone);
    const Merge merge = find(symbols[i], symbols[w.next[i]]);
    ++w.n_steps;
    w.ranks[i] = merge.rank;
    w.results[i] = merge.result;
    if (merge.rank != kNone) w.heap.push_back(std::uint64_t{merge.rank} << 32 | i);
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    w.next[i] = i + 1;
    w.previous[i] = i - 1;
    look_up(i);
  }
  const std::greater<std::uint64_t> later;
  std::make_heap(w.heap.begin(), w.heap.end(), later);
  const auto renew = [&](std::uint32_t i) {
    const std::size_t size = w.heap.size();
    look_up(i);
    if (w.heap.size() > size) std::push_heap(w.heap.begin(), w.heap.end(), later);
  };
  while (!w.heap.empty()) {
    const std::uint64_t candidate = w.heap.front();
    std::pop_heap(w.heap.begin(), w.heap.end(), later);
    w.heap.pop_back();
    const auto i = static_cast<std::uint32_t>(candidate);
    if (w.ranks[i] != candidate >> 32) continue;
    const std::uint32_t j = w.next[i];
    symbols[i] = w.results[i];
    w.ranks[j] = kNone;
    w.next[i] = w.next[j];
    if (w.next[i] < n) w.previous[w.next[i]] = i;
    renew(i);
    if (i > 0) renew(w.previous[i]);
  }
  w.begins.clear();
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < n; i = w.next[i]) {
    w.begins.push_back(i);
    symbols[kept++] = symbols[i];
  }
  symbols.resize(kept);
}

}  // namespace lmbits
