// The ids of words seen before: bounded, one slot a hash, the newer word replaces the older.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace lmbits {

// Of one thread. Words up to 16 bytes that are up to 3 ids lie in slots of 32 bytes, up to 48 bytes and 19 ids in slots
// of 128; others are not kept.
class WordCache {
 public:
  static constexpr std::size_t kMaxIds = 19;

  // Copies the word's ids to `ids` (room for kMaxIds) and returns how many; 0: not known. `text_end` >= the word's end:
  // up to there may be read.
  std::size_t find(std::string_view word, const char* text_end, std::uint32_t* ids) const {
    if (word.size() <= kShortBytes) {
      const Key key = load(word, text_end);
      const Short& slot = short_[hash(key, word.size())];
      if (slot.key == key && slot.n_bytes == word.size()) {
        std::memcpy(ids, slot.ids, sizeof slot.ids);
        return slot.n_ids;
      }
    } else if (word.size() > kLongBytes) {
      return 0;
    }
    const Long& slot = long_[hash(word)];
    if (slot.n_bytes != word.size() || std::memcmp(slot.bytes, word.data(), word.size()) != 0) return 0;
    std::memcpy(ids, slot.ids, slot.n_ids * sizeof *ids);
    return slot.n_ids;
  }

  void put(std::string_view word, std::span<const std::uint32_t> ids) {
    if (word.empty() || ids.empty()) return;
    if (word.size() <= kShortBytes && ids.size() <= std::size(Short{}.ids)) {
      const Key key = load(word, word.data() + word.size());
      Short& slot = short_[hash(key, word.size())];
      slot.key = key;
      std::copy(ids.begin(), ids.end(), slot.ids);
      slot.n_bytes = static_cast<std::uint16_t>(word.size());
      slot.n_ids = static_cast<std::uint16_t>(ids.size());
    } else if (word.size() <= kLongBytes && ids.size() <= kMaxIds) {
      Long& slot = long_[hash(word)];
      std::memcpy(slot.bytes, word.data(), word.size());
      std::copy(ids.begin(), ids.end(), slot.ids);
      slot.n_bytes = static_cast<std::uint16_t>(word.size());
      slot.n_ids = static_cast<std::uint16_t>(ids.size());
    }
  }

 private:
  using Key = std::array<std::uint64_t, 2>;
  static constexpr std::size_t kShortBytes = 16, kLongBytes = 48;
  static constexpr std::size_t kShortSlots = std::size_t{1} << 17, kLongSlots = std::size_t{1} << 14;  // 4 MiB, 2 MiB
  struct Short {
    Key key{};
    std::uint32_t ids[3]{};
    std::uint16_t n_bytes = 0, n_ids = 0;
  };
  struct Long {
    char bytes[kLongBytes]{};
    std::uint32_t ids[kMaxIds]{};
    std::uint16_t n_bytes = 0, n_ids = 0;
  };

  static Key load(std::string_view word, const char* text_end) {
    Key key{};
    if (text_end - word.data() < static_cast<std::ptrdiff_t>(kShortBytes)) {
      std::memcpy(key.data(), word.data(), word.size());
      return key;
    }
    std::memcpy(key.data(), word.data(), kShortBytes);  // of fixed length: two moves; what is too much is cleared
    const std::size_t n = word.size();
    key[0] &= n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * n) - 1;
    key[1] &= n >= 16 ? ~std::uint64_t{0} : n > 8 ? (std::uint64_t{1} << 8 * (n - 8)) - 1 : 0;
    return key;
  }
  static std::size_t hash(const Key& key, std::size_t n) {
    std::uint64_t h = (key[0] ^ n * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32 ^ key[1]) * 0xE7037ED1A0B428DBu;
    return (h ^ h >> 32) & (kShortSlots - 1);
  }
  static std::size_t hash(std::string_view word) {
    std::uint64_t h = word.size();
    for (; word.size() >= 8; word.remove_prefix(8)) {
      std::uint64_t bytes;
      std::memcpy(&bytes, word.data(), 8);
      h = (h ^ bytes) * 0x9E3779B97F4A7C15u;
      h ^= h >> 29;
    }
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, word.data(), word.size());
    h = (h ^ bytes) * 0xE7037ED1A0B428DBu;
    return (h ^ h >> 32) & (kLongSlots - 1);
  }

  std::vector<Short> short_ = std::vector<Short>(kShortSlots);
  std::vector<Long> long_ = std::vector<Long>(kLongSlots);
};

}  // namespace lmbits
