#include "src/tokenizer/word_cache.h"

#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <new>

namespace lmbits {
namespace {

constexpr std::size_t words_of(std::size_t n_bytes) { return (n_bytes + 3) / 4; }

}  // namespace

std::uint64_t word_hash(std::string_view word) { return XXH3_64bits(word.data(), word.size()); }

// From the system, which hands out zeroed pages as they are touched; in large pages where it has them.
template <typename T>
WordCache::Pages<T> WordCache::zeroed(std::size_t n) {
  void* const memory = mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return Pages<T>(static_cast<T*>(memory), Unmap{n * sizeof(T)});
}

void WordCache::Unmap::operator()(void* memory) const { munmap(memory, n_bytes); }

WordCache::WordCache()
    : lines_(zeroed<Line>(kLines)),
      long_places_(zeroed<std::uint32_t>(kLongSlots)),
      arena_(zeroed<std::uint32_t>(kArenaWords)) {
  madvise(lines_.get(), kLines * sizeof(Line), MADV_HUGEPAGE);
}

bool WordCache::find_long(std::string_view word, Long& found) const {
  const std::uint32_t place = long_places_[word_hash(word) & (kLongSlots - 1)];
  if (place == 0) return false;
  const std::uint32_t* const record = arena_.get() + place;
  if (record[0] != word.size() || std::memcmp(record + 2, word.data(), word.size()) != 0) return false;
  const std::uint32_t* const ids = record + 2 + words_of(word.size());
  found.n_tokens = record[1] & ~kLossyFact;
  found.is_lossy = (record[1] & kLossyFact) != 0;
  found.ids = reinterpret_cast<const std::int32_t*>(ids);
  found.n_bytes = reinterpret_cast<const std::uint8_t*>(ids + found.n_tokens);
  return true;
}

void WordCache::put(std::string_view word, std::span<const std::int32_t> ids, std::span<const std::int32_t> n_bytes,
                    bool is_lossy) {
  if (word.empty() || word.size() > kLongBytes || std::ranges::any_of(n_bytes, [](std::int32_t n) { return n > 255; }))
    return;
  const auto has_bytes = [](std::int32_t n) { return n > 0; };
  const auto fits_line = [](std::int32_t id) { return id <= kMaxId; };
  const std::size_t most =
      std::ranges::all_of(n_bytes, has_bytes) && std::ranges::all_of(ids, fits_line) ? kShortTokens : kFewTokens;
  if (word.size() <= kShortBytes && !ids.empty() && ids.size() <= most) {
    put_short(key_of(word.data(), word.size(), word.data() + word.size()), ids, n_bytes, is_lossy);
  } else {
    put_long(word, ids, n_bytes, is_lossy);
  }
}

void WordCache::put_short(const Key& key, std::span<const std::int32_t> ids, std::span<const std::int32_t> n_bytes,
                          bool is_lossy) {
  Line& line = lines_[place_of(key)];
  Short& word = line.words[0];
  const bool one_a_line = ids.size() > kFewTokens || (word.key.high != 0 && word.n_few() == 0);
  line.words[1] = one_a_line ? Short{} : word;
  word.key = key;
  std::uint32_t facts = is_lossy ? kLossyFact : 0;
  const std::size_t n_first = std::min(ids.size(), kFewTokens);
  if (ids.size() <= kFewTokens) {
    facts |= static_cast<std::uint32_t>(ids.size() << 24);
    for (std::size_t i = 0; i < n_bytes.size(); ++i) facts |= static_cast<std::uint32_t>(n_bytes[i]) << 8 * i;
  } else {
    std::int32_t end = 0;
    for (const std::int32_t token_bytes : n_bytes) facts |= std::uint32_t{1} << ((end += token_bytes) - 1);
  }
  std::ranges::copy(ids.first(n_first), word.ids_and_facts);
  word.ids_and_facts[kFewTokens] = static_cast<std::int32_t>(facts);
  std::ranges::copy(ids.subspan(n_first), line.numbers + kMoreIds);
}

void WordCache::put_long(std::string_view word, std::span<const std::int32_t> ids,
                         std::span<const std::int32_t> n_bytes, bool is_lossy) {
  const std::size_t n_words = 2 + words_of(word.size()) + ids.size() + words_of(ids.size());
  if (arena_end_ + n_words > kArenaWords) empty_arena();
  if (arena_end_ + n_words > kArenaWords) return;
  std::uint32_t* const record = arena_.get() + arena_end_;
  record[0] = static_cast<std::uint32_t>(word.size());
  record[1] = static_cast<std::uint32_t>(ids.size()) | (is_lossy ? kLossyFact : 0);
  std::memcpy(record + 2, word.data(), word.size());
  std::uint32_t* const record_ids = record + 2 + words_of(word.size());
  std::ranges::copy(ids, record_ids);
  auto* const lengths = reinterpret_cast<std::uint8_t*>(record_ids + ids.size());
  for (std::size_t i = 0; i < n_bytes.size(); ++i) lengths[i] = static_cast<std::uint8_t>(n_bytes[i]);
  long_places_[word_hash(word) & (kLongSlots - 1)] = arena_end_;
  arena_end_ += static_cast<std::uint32_t>(n_words);
}

void WordCache::empty_arena() {
  std::fill_n(long_places_.get(), kLongSlots, 0);
  arena_end_ = 1;
}

}  // namespace lmbits
