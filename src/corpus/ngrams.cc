#include "src/corpus/ngrams.h"

#include <charconv>

#include "src/core/error.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

constexpr std::uint64_t kWordSeed = 0xcbf29ce484222325, kWordPrime = 0x100000001b3;  // FNV-1a's

constexpr int kSeparator = 0, kPart = 1, kWhole = 2;  // of a character: between words, part of one, one by itself

// The character at the front of `text`, and its length.
int kind_of(std::string_view text, std::size_t& length) {
  const auto first = static_cast<unsigned char>(text[0]);
  length = 1;
  if (first < 0x80) {
    const auto lower = static_cast<unsigned char>(first | 0x20);
    return (first >= '0' && first <= '9') || (lower >= 'a' && lower <= 'z') ? kPart : kSeparator;
  }
  if (first < 0xe2) return kPart;  // below U+2000, or no UTF-8
  const std::size_t valid = utf8_character_length(text);
  if (valid < 3) return kPart;
  length = valid;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  if (valid == 4) return kWhole;
  const std::uint32_t code = (byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  if (code < 0x2070 || (code >= 0x3000 && code < 0x3040)) return kSeparator;
  return code >= 0x2e80 ? kWhole : kPart;
}

std::uint64_t hash_of(std::string_view word) {
  std::uint64_t hash = kWordSeed;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    hash = (hash ^ byte) * kWordPrime;
  }
  return mixed(hash);
}

}  // namespace

NgramRule parse_ngram(const std::string& text) {
  NgramRule rule;
  const char* const end = text.data() + text.size();
  const auto [parsed, status] = std::from_chars(text.data(), end, rule.n);
  std::string unit;
  for (const char* at = parsed; at != end; ++at)
    if (*at != ' ') unit += *at;
  const bool bytes = unit == "b" || unit == "bytes", words = unit == "w" || unit == "words";
  if (status != std::errc() || rule.n < 1 || rule.n > 1000 || (!bytes && !words))
    throw Error(ErrorKind::kConfig, "n-gram is \"" + text + "\"", "50b (bytes) or 13w (words), up to 1000");
  rule.unit = bytes ? NgramRule::Unit::kBytes : NgramRule::Unit::kWords;
  return rule;
}

std::string to_string(const NgramRule& rule) {
  return std::to_string(rule.n) + (rule.unit == NgramRule::Unit::kBytes ? " bytes" : " words");
}

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  std::size_t begin = 0;
  bool inside = false;
  const auto close = [&](std::size_t end) {
    if (inside) words.push_back({hash_of(text.substr(begin, end - begin)), begin, end});
    inside = false;
  };
  for (std::size_t at = 0, length = 1; at < text.size(); at += length) {
    const int kind = kind_of(text.substr(at), length);
    if (kind == kPart) {
      if (!inside) begin = at;
      inside = true;
      continue;
    }
    close(at);
    if (kind == kWhole) words.push_back({hash_of(text.substr(at, length)), at, at + length});
  }
  close(text.size());
  return words;
}

RollingHash::RollingHash(int n) : power_(1) {
  for (int i = 0; i < n; ++i) power_ *= kBase;
  for (std::size_t byte = 0; byte < leaving_.size(); ++byte) leaving_[byte] = (byte + 1) * power_;
}

}  // namespace lmbits
