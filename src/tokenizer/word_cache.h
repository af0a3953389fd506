// The tokens of words seen before: bounded, exact (a word's bytes are compared), of one thread.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace lmbits {

// Words up to 15 bytes lie in a table of cache lines: two words of up to 3 tokens each, the newer in the place of the older,
// or one of up to 11. Others up to kLongBytes lie one behind the other in an arena, which is emptied when it is full.
class WordCache {
 public:
  static constexpr std::size_t kShortBytes = 15, kFewTokens = 3, kShortTokens = 11, kLongBytes = 256;

  // A short word's bytes, zeros, and in the last byte how many they are: so equal keys are equal words.
  struct Key {
    std::uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  // Half a line, or the first half of one that holds one word: up to kFewTokens ids, and facts. These are 24 bits, of up to
  // kFewTokens a byte the length of each, of more a bit for each byte that ends one; then 2 bits the number of tokens (0:
  // more than kFewTokens); the highest bit, whether the word is lossy.
  struct Short {
    Key key;
    std::int32_t ids_and_facts[kFewTokens + 1];

    std::uint32_t facts() const { return static_cast<std::uint32_t>(ids_and_facts[kFewTokens]); }
    std::uint32_t n_few() const { return facts() >> 24 & 3; }
    std::uint32_t ends() const { return facts() & 0x7FFF; }
  };
  // Of one word the ids after kFewTokens begin at kMoreIds and lie over the second word's key: its last byte, which tells the
  // number of bytes, is the highest of an id, and so 0, which no word's is.
  union alignas(64) Line {
    Short words[2];
    std::int32_t numbers[16];
  };
  static constexpr std::size_t kMoreIds = 8;
  static constexpr std::int32_t kMaxId = (1 << 24) - 1;
  static constexpr std::uint32_t kLossyFact = 0x80000000;
  struct Long {
    std::uint32_t n_tokens;
    bool is_lossy;
    const std::int32_t* ids;      // n_tokens
    const std::uint8_t* n_bytes;  // n_tokens
  };

  WordCache();

  // `word` has 1 to kShortBytes bytes; up to `readable_end` may be read.
  static Key key_of(const char* word, std::size_t n, const char* readable_end) {
    Key key{};
    if (readable_end - word < static_cast<std::ptrdiff_t>(sizeof key)) [[unlikely]] {
      std::memcpy(&key, word, n);
    } else {
      std::memcpy(&key, word, sizeof key);  // of fixed length: two moves; what is too much is cleared
      key.low &= kKeyMasks[n].low;
      key.high &= kKeyMasks[n].high;
    }
    key.high |= std::uint64_t{n} << 56;
    return key;
  }
  // Where the word would be. To be prefetched where many are looked up.
  const Line* line_of(const Key& key) const { return &lines_[place_of(key)]; }
  // The word, or nullptr. Where n_few() is 0 there are more ids, kShortTokens of them can be copied.
  static const Short* find(const Key& key, const Line* line) {
    const bool is_first = is_same(line->words[0].key, key), is_second = is_same(line->words[1].key, key);
    return is_first || is_second ? &line->words[!is_first] : nullptr;
  }
  const Short* find(const Key& key) const { return find(key, line_of(key)); }
  static void copy_short_ids(const Short& known, std::int32_t* ids) {
    const std::int32_t* const numbers = reinterpret_cast<const Line&>(known).numbers;
    std::memcpy(ids, known.ids_and_facts, kFewTokens * sizeof *ids);
    std::memcpy(ids + kFewTokens, numbers + kMoreIds, (kShortTokens - kFewTokens) * sizeof *ids);
  }
  static constexpr Key kNoKey = {0, ~std::uint64_t{0}};  // of no word
  // A longer word, or a short one that no line has room for. The result is good until the next put().
  bool find_long(std::string_view word, Long& found) const;

  // Words that are too long, or of tokens longer than 255 bytes, are not kept. `is_lossy`: whatever the caller wants to know
  // again with the word.
  void put(std::string_view word, std::span<const std::int32_t> ids, std::span<const std::int32_t> n_bytes,
           bool is_lossy);

  static constexpr std::size_t max_bytes() {
    return kLines * sizeof(Line) + kLongSlots * sizeof(std::uint32_t) + kArenaWords * sizeof(std::uint32_t);
  }

 private:
  static constexpr unsigned kLogLines = 18;
  static constexpr std::size_t kLines = std::size_t{1} << kLogLines;  // 16 MiB
  static constexpr std::size_t kLongSlots = std::size_t{1} << 17;     // 0.5 MiB
  static constexpr std::size_t kArenaWords = std::size_t{1} << 22;    // 16 MiB
  static constexpr std::array<Key, kShortBytes + 1> kKeyMasks = [] {
    std::array<Key, kShortBytes + 1> masks{};
    for (std::size_t n = 1; n <= kShortBytes; ++n) {
      masks[n].low = n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * n) - 1;
      masks[n].high = n >= 16 ? ~std::uint64_t{0} : n > 8 ? (std::uint64_t{1} << 8 * (n - 8)) - 1 : 0;
    }
    return masks;
  }();

  static bool is_same(const Key& a, const Key& b) { return ((a.low ^ b.low) | (a.high ^ b.high)) == 0; }
  static std::size_t place_of(const Key& key) {
    const std::uint64_t hash = key.low * 0x9E3779B97F4A7C15u + key.high * 0xE7037ED1A0B428DBu;
    return hash >> (64 - kLogLines);
  }
  void put_short(const Key& key, std::span<const std::int32_t> ids, std::span<const std::int32_t> n_bytes,
                 bool is_lossy);
  void put_long(std::string_view word, std::span<const std::int32_t> ids, std::span<const std::int32_t> n_bytes,
                bool is_lossy);
  void empty_arena();

  struct Unmap {
    std::size_t n_bytes = 0;
    void operator()(void* memory) const;
  };
  template <typename T>
  using Pages = std::unique_ptr<T[], Unmap>;
  template <typename T>
  static Pages<T> zeroed(std::size_t n);

  Pages<Line> lines_;
  // Of a word's hash: where it lies in the arena; 0: nowhere. There: its bytes' number, its tokens' number | kLossyFact,
  // its bytes, ids, and the tokens' bytes, each padded to 4 bytes.
  Pages<std::uint32_t> long_places_;
  Pages<std::uint32_t> arena_;
  std::uint32_t arena_end_ = 1;
};

// A hash of a word of any length.
std::uint64_t word_hash(std::string_view word);

}  // namespace lmbits
