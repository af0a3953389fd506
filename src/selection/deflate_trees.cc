#include "src/selection/deflate_trees.h"

#include <algorithm>
#include <span>

namespace lmbits {
namespace {

constexpr int kMaxBits = 15, kMaxLengthTreeBits = 7, kLengthTreeCodes = 19;

constexpr std::array<int, 29> kLengthExtra = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                              2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr std::array<int, 30> kDistanceExtra = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
constexpr std::array<int, 19> kLengthTreeExtra = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7};
constexpr std::array<int, 19> kLengthTreeOrder = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

int static_literal_bits(int code) { return code < 144 ? 8 : code < 256 ? 9 : code < 280 ? 7 : 8; }

// What is fixed about one of the three trees.
struct TreeKind {
  int n_codes;
  std::span<const int> extra;  // extra bits of the codes from `extra_base` on
  int extra_base;
  int max_bits;
};

constexpr TreeKind kLiteralTree{kLiteralCodes, kLengthExtra, 257, kMaxBits};
constexpr TreeKind kDistanceTree{kDistanceCodes, kDistanceExtra, 0, kMaxBits};
constexpr TreeKind kLengthTree{kLengthTreeCodes, kLengthTreeExtra, 0, kMaxLengthTreeBits};

// A Huffman tree as zlib builds it: of equally frequent nodes the shallower goes first, and of those whatever the heap
// yields, so the heap is theirs too. Codes longer than allowed are shortened as theirs are.
class Tree {
 public:
  explicit Tree(const TreeKind& kind) : kind_(kind) {}

  void build(std::span<const std::uint16_t> frequencies) {
    n_heap_ = 0;
    max_code_ = -1;
    for (int n = 0; n < kind_.n_codes; ++n) {
      frequency_[n] = frequencies[static_cast<std::size_t>(n)];
      length_[n] = 0;
      if (frequency_[n] != 0) push(max_code_ = n);
    }
    // Two codes at least, if of no use: their bits are not counted.
    while (n_heap_ < 2) {
      const int n = max_code_ < 2 ? ++max_code_ : 0;
      frequency_[n] = 1;
      bits_ -= 1;
      push(n);
    }
    for (int n = n_heap_ / 2; n >= 1; --n) sift_down(n);
    combine();
    assign_lengths();
  }

  std::int64_t bits() const { return bits_; }  // of all symbols, extra bits included
  int max_code() const { return max_code_; }
  int length(int code) const { return length_[code]; }

 private:
  static constexpr int kHeapSize = 2 * kLiteralCodes + 1;

  void push(int n) {
    heap_[++n_heap_] = n;
    depth_[n] = 0;
  }

  bool goes_first(int n, int m) const {
    return frequency_[n] < frequency_[m] || (frequency_[n] == frequency_[m] && depth_[n] <= depth_[m]);
  }

  void sift_down(int k) {
    const int moved = heap_[k];
    for (int child = 2 * k; child <= n_heap_; child *= 2) {
      if (child < n_heap_ && goes_first(heap_[child + 1], heap_[child])) ++child;
      if (goes_first(moved, heap_[child])) break;
      heap_[k] = heap_[child];
      k = child;
    }
    heap_[k] = moved;
  }

  // Pairs the two that go first until one is left; the rest of the heap's array takes the nodes, root first.
  void combine() {
    n_sorted_ = kHeapSize;
    for (int node = kind_.n_codes; n_heap_ >= 2; ++node) {
      const int n = heap_[1];
      heap_[1] = heap_[n_heap_--];
      sift_down(1);
      const int m = heap_[1];
      heap_[--n_sorted_] = n;
      heap_[--n_sorted_] = m;
      frequency_[node] = frequency_[n] + frequency_[m];
      depth_[node] = std::max(depth_[n], depth_[m]) + 1;
      parent_[n] = parent_[m] = node;
      heap_[1] = node;
      sift_down(1);
    }
    heap_[--n_sorted_] = heap_[1];
  }

  bool is_leaf(int n) const { return n <= max_code_; }

  void assign_lengths() {
    std::array<int, kMaxBits + 1> n_of_length{};
    int n_overflow = 0;
    length_[heap_[n_sorted_]] = 0;
    int at = n_sorted_ + 1;
    for (; at < kHeapSize; ++at) {
      const int n = heap_[at];
      int length = length_[parent_[n]] + 1;
      if (length > kind_.max_bits) {
        length = kind_.max_bits;
        ++n_overflow;
      }
      length_[n] = length;
      if (!is_leaf(n)) continue;
      ++n_of_length[static_cast<std::size_t>(length)];
      const int extra = n >= kind_.extra_base ? kind_.extra[static_cast<std::size_t>(n - kind_.extra_base)] : 0;
      bits_ += std::int64_t{frequency_[n]} * (length + extra);
    }
    if (n_overflow > 0) shorten(n_of_length, n_overflow, at);
  }

  void shorten(std::array<int, kMaxBits + 1>& n_of_length, int n_overflow, int at) {
    const auto max_bits = static_cast<std::size_t>(kind_.max_bits);
    for (; n_overflow > 0; n_overflow -= 2) {
      std::size_t length = max_bits - 1;
      while (n_of_length[length] == 0) --length;
      --n_of_length[length];
      n_of_length[length + 1] += 2;
      --n_of_length[max_bits];
    }
    for (int length = kind_.max_bits; length > 0; --length) {
      for (int n = n_of_length[static_cast<std::size_t>(length)]; n > 0;) {
        const int code = heap_[--at];
        if (!is_leaf(code)) continue;
        bits_ += std::int64_t{length - length_[code]} * frequency_[code];
        length_[code] = length;
        --n;
      }
    }
  }

  const TreeKind& kind_;
  std::int64_t bits_ = 0;
  int n_heap_ = 0, n_sorted_ = 0, max_code_ = -1;
  int frequency_[kHeapSize], depth_[kHeapSize], parent_[kHeapSize], length_[kHeapSize], heap_[kHeapSize];
};

// How often each symbol of the code lengths' own alphabet is needed to describe `tree`.
void count_lengths(const Tree& tree, std::array<std::uint16_t, kLengthTreeCodes>& counts) {
  int previous = -1, next = tree.length(0), n = 0;
  int max = next == 0 ? 138 : 7, min = next == 0 ? 3 : 4;
  for (int code = 0; code <= tree.max_code(); ++code) {
    const int length = next;
    next = code < tree.max_code() ? tree.length(code + 1) : -1;
    if (++n < max && length == next) continue;
    if (n < min) {
      counts[static_cast<std::size_t>(length)] =
          static_cast<std::uint16_t>(counts[static_cast<std::size_t>(length)] + n);
    } else if (length != 0) {
      if (length != previous) ++counts[static_cast<std::size_t>(length)];
      ++counts[16];
    } else {
      ++counts[n <= 10 ? 17 : 18];
    }
    n = 0;
    previous = length;
    max = next == 0 ? 138 : length == next ? 6 : 7;
    min = next == 0 ? 3 : length == next ? 3 : 4;
  }
}

std::int64_t trees_bits(const Tree& literals, const Tree& distances) {
  std::array<std::uint16_t, kLengthTreeCodes> counts{};
  count_lengths(literals, counts);
  count_lengths(distances, counts);
  Tree lengths(kLengthTree);
  lengths.build(counts);
  std::size_t last = kLengthTreeCodes - 1;
  while (last >= 3 && lengths.length(kLengthTreeOrder[last]) == 0) --last;
  return lengths.bits() + 3 * (static_cast<std::int64_t>(last) + 1) + 5 + 5 + 4;
}

std::int64_t bits_of_static(const BlockHistogram& histogram) {
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < histogram.literals.size(); ++i) {
    const int extra = i >= 257 ? kLengthExtra[i - 257] : 0;
    bits += std::int64_t{histogram.literals[i]} * (static_literal_bits(static_cast<int>(i)) + extra);
  }
  for (std::size_t i = 0; i < histogram.distances.size(); ++i)
    bits += std::int64_t{histogram.distances[i]} * (5 + kDistanceExtra[i]);
  return bits;
}

template <std::size_t N>
constexpr std::array<int, N> first_values(const std::array<int, N>& extra, int first) {
  std::array<int, N> values{};
  for (std::size_t i = 0; i < N; ++i) {
    values[i] = first;
    first += 1 << extra[i];
  }
  return values;
}

constexpr auto kFirstDistance = first_values(kDistanceExtra, 1);

constexpr std::array<std::uint16_t, 259> make_length_codes() {
  std::array<std::uint16_t, 259> codes{};
  int length = 3;
  for (std::size_t code = 0; code + 1 < kLengthExtra.size(); ++code)
    for (int i = 0; i < 1 << kLengthExtra[code] && length <= 258; ++i)
      codes[static_cast<std::size_t>(length++)] = static_cast<std::uint16_t>(257 + code);
  codes[258] = 285;  // without extra bits
  return codes;
}

constexpr auto kLengthCodes = make_length_codes();

constexpr std::array<std::uint8_t, 32769> make_distance_codes() {
  std::array<std::uint8_t, 32769> codes{};
  for (std::size_t code = 0; code < kFirstDistance.size(); ++code)
    for (int i = 0; i < 1 << kDistanceExtra[code]; ++i)
      codes[static_cast<std::size_t>(kFirstDistance[code] + i)] = static_cast<std::uint8_t>(code);
  return codes;
}

const std::array<std::uint8_t, 32769> kDistanceCodesTable = make_distance_codes();

}  // namespace

BlockBits block_bits(const BlockHistogram& histogram) {
  Tree literals(kLiteralTree), distances(kDistanceTree);
  literals.build(histogram.literals);
  distances.build(histogram.distances);
  return {literals.bits() + distances.bits() + trees_bits(literals, distances), bits_of_static(histogram)};
}

int length_code(int length) { return kLengthCodes[static_cast<std::size_t>(length)]; }
int distance_code(int distance) { return kDistanceCodesTable[static_cast<std::size_t>(distance)]; }

}  // namespace lmbits
