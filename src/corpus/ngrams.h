// n-grams of a text as 64-bit hashes: shingles of bytes, or of words.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct NgramRule {
  enum class Unit { kBytes, kWords };
  Unit unit = Unit::kBytes;
  int n = 50;
};

// "50b", "50 bytes", "13w", "13 words"; n from 1 to 1000. Error(kConfig) for anything else.
NgramRule parse_ngram(const std::string& text);
std::string to_string(const NgramRule& rule);  // "50 bytes"

// A word of a text, by what remains when case, punctuation and white space are gone: runs of ASCII letters (in lower
// case) and digits and of other characters below U+2E80; from there on (CJK, Hangul, emoji) each character is a word.
// General and CJK punctuation (U+2000-206F, U+3000-303F) and ASCII's separate.
struct Word {
  std::uint64_t hash;
  std::size_t begin, end;  // its bytes
};
std::vector<Word> words_of(std::string_view text);

// h(c_0 ... c_{n-1}) = sum of (c_j + 1) B^(n-1-j) mod 2^64 for a fixed odd B: the value at i + 1 follows from that at i.
// Different strings may have equal values; whoever must be sure compares the bytes.
class RollingHash {
 public:
  explicit RollingHash(int n);
  std::uint64_t add(std::uint64_t hash, std::uint64_t in) const { return hash * kBase + in + 1; }
  std::uint64_t roll(std::uint64_t hash, unsigned char out, unsigned char in) const {
    return hash * kBase + (in + 1u) - leaving_[out];
  }
  std::uint64_t roll(std::uint64_t hash, std::uint64_t out, std::uint64_t in) const {
    return hash * kBase + (in + 1) - (out + 1) * power_;
  }

  static constexpr std::uint64_t kBase = 0x9e3779b97f4a7c15;

 private:
  std::uint64_t power_;                     // B^n
  std::array<std::uint64_t, 256> leaving_;  // of a byte
};

// Calls block(first, hashes) for consecutive n-grams, number `first` and those after it. `words` are words_of(text) where
// the rule is of words, else not looked at. N-gram i is the n bytes from byte i on, or the n words from word i on.
template <typename Block>
void each_ngram_block(std::string_view text, std::span<const Word> words, const NgramRule& rule, Block&& block) {
  constexpr std::size_t kBlock = 512;
  const RollingHash hash(rule.n);
  const auto n = static_cast<std::size_t>(rule.n);
  const bool bytes = rule.unit == NgramRule::Unit::kBytes;
  const std::size_t size = bytes ? text.size() : words.size();
  if (size < n) return;
  std::array<std::uint64_t, kBlock> values;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < n; ++i)
    value = hash.add(value, bytes ? static_cast<unsigned char>(text[i]) : words[i].hash);
  const std::size_t last = size - n;  // the last n-gram
  for (std::size_t first = 0; first <= last; first += kBlock) {
    const std::size_t count = first + kBlock <= last + 1 ? kBlock : last + 1 - first;
    for (std::size_t i = first; i < first + count; ++i) {
      values[i - first] = value;
      if (i == last) break;
      value = bytes ? hash.roll(value, static_cast<unsigned char>(text[i]), static_cast<unsigned char>(text[i + n]))
                    : hash.roll(value, words[i].hash, words[i + n].hash);
    }
    block(first, std::span<const std::uint64_t>(values.data(), count));
  }
}

// Spreads every bit of `x` over all bits (the finaliser of MurmurHash3, public domain).
inline std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

}  // namespace lmbits
