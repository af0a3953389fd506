#include "src/tokenizer/merge_table.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace lmbits {
namespace {

constexpr std::size_t kScanSymbols = 96;  // beyond, the heap is faster

}  // namespace

MergeTable::MergeTable(std::span<const MergeRule> rules) {
  std::uint64_t n_slots = 2;
  while (n_slots < rules.size() * 2) n_slots *= 2;
  slots_.assign(n_slots, {kEmpty, kNone, kNone});
  mask_ = n_slots - 1;
  for (const MergeRule& rule : rules) {
    const Slot& slot = find(rule.left, rule.right);
    slots_[static_cast<std::size_t>(&slot - slots_.data())] = {std::uint64_t{rule.left} << 32 | rule.right, rule.rank,
                                                               rule.result};
  }
}

void MergeTable::merge(std::vector<std::uint32_t>& symbols, MergeWorkspace& workspace) const {
  if (symbols.size() <= kScanSymbols) {
    merge_by_scan(symbols);
  } else {
    merge_by_heap(symbols, workspace);
  }
}

void MergeTable::merge_by_scan(std::vector<std::uint32_t>& symbols) const {
  std::uint32_t ranks[kScanSymbols], results[kScanSymbols];
  std::uint32_t* const ids = symbols.data();
  std::size_t n = symbols.size();
  const auto look_up = [&](std::size_t i) {
    const Slot& slot = find(ids[i], ids[i + 1]);
    ranks[i] = slot.rank;
    results[i] = slot.result;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    std::uint32_t best = kNone;
    for (std::size_t i = 0; i + 1 < n; ++i) best = std::min(best, ranks[i]);
    if (best == kNone) break;
    std::size_t i = 0;
    while (ranks[i] != best) ++i;
    ids[i] = results[i];
    const std::size_t n_behind = n - i - 2;
    std::memmove(ids + i + 1, ids + i + 2, n_behind * sizeof *ids);
    std::memmove(ranks + i, ranks + i + 1, n_behind * sizeof *ranks);
    std::memmove(results + i, results + i + 1, n_behind * sizeof *results);
    --n;
    if (n_behind > 0) look_up(i);
    if (i > 0) look_up(i - 1);
  }
  symbols.resize(n);
}

// The list is `next` and `previous`; a candidate is rank << 32 | its left symbol's place, and is stale where that
// symbol's pair has another rank by now.
void MergeTable::merge_by_heap(std::vector<std::uint32_t>& symbols, MergeWorkspace& w) const {
  const auto n = static_cast<std::uint32_t>(symbols.size());
  w.next.resize(n);
  w.previous.resize(n);
  w.ranks.resize(n);
  w.results.resize(n);
  w.heap.clear();
  const auto look_up = [&](std::uint32_t i) {
    if (w.next[i] >= n) return void(w.ranks[i] = kNone);
    const Slot& slot = find(symbols[i], symbols[w.next[i]]);
    w.ranks[i] = slot.rank;
    w.results[i] = slot.result;
    if (slot.rank != kNone) w.heap.push_back(std::uint64_t{slot.rank} << 32 | i);
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
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < n; i = w.next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace lmbits
