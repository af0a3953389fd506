// The patterns, in the spelling of their first publication:
//   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   qwen2   the same with \p{N} for \p{N}{1,3}
//   cl100k  the same as llama3, but white space at the very end of a text is one word (\s++$ comes before \s*[\r\n])
//   o200k   words are [upper, title, modifier, other, mark]* [lower, modifier, other, mark]+ or the same with + and *, each
//           with a contraction behind it; "/" may follow punctuation, as line ends do
#include "src/tokenizer/splitter.h"

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "src/tokenizer/byte_blocks.h"
#include "src/tokenizer/pattern.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

// Characters as a splitter sees them.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : end_(text.data() + text.size()) {}

  const char* end() const { return end_; }
  CharClass at(const char* p, std::uint32_t& n) const {
    return static_cast<CharClass>(properties_at(table_, p, end_, n) & 15);
  }

  template <typename Predicate>
  const char* run(const char* p, Predicate holds) const {
    for (std::uint32_t n = 0; p < end_ && holds(at(p, n)); p += n) {
    }
    return p;
  }
  const char* letters(const char* p) const {
    for (std::uint32_t n = 0; (p = ascii_letters_end(p, end_)) < end_; p += n) {
      if (!is_letter(at(p, n))) break;
    }
    return p;
  }
  const char* symbols(const char* p) const {
    return run(p, [](CharClass c) { return !is_letter(c) && c != CharClass::kNumber && c != CharClass::kSpace; });
  }
  const char* numbers(const char* p, int at_most) const {
    std::uint32_t n = 0;
    for (int k = 0; k < at_most && p < end_ && at(p, n) == CharClass::kNumber; ++k) p += n;
    return p;
  }

  // \s+(?!\S)|\s+ from a white-space character on: all but the last one before something else.
  const char* spaces(const char* p) const {
    const char *begin = p, *last = p;
    for (std::uint32_t n = 0; p < end_ && at(p, n) == CharClass::kSpace; p += n) last = p;
    return p == end_ || last == begin ? p : last;
  }

  // \s*[\r\n]+ where it matches, else as spaces(). `end_first`: \s+$ comes before both.
  const char* spaces_or_lines(const char* p, bool end_first) const {
    const char* behind_line = nullptr;
    const char* q = p;
    for (std::uint32_t n = 0; q < end_ && at(q, n) == CharClass::kSpace; q += n) {
      if (*q == '\n' || *q == '\r') behind_line = q + 1;
    }
    if (behind_line && !(end_first && q == end_)) return behind_line;
    return spaces(p);
  }

  // 's 't 're 've 'm 'll 'd at `p`: its end, or `p`. Without case, U+017F is an s.
  const char* contraction(const char* p, bool any_case) const {
    if (end_ - p < 2 || *p != '\'') return p;
    const char mask = any_case ? 0x20 : 0;
    const auto letter = [&](int i) {
      return end_ - p > i ? static_cast<char>(p[i] | (is_ascii_letter(p[i]) ? mask : 0)) : '\0';
    };
    const char a = letter(1), b = letter(2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
    return any_case && a == '\xC5' && b == '\xBF' ? p + 3 : p;
  }

 private:
  static bool is_ascii_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

  const UnicodeTable& table_ = UnicodeTable::instance();
  const char* end_;
};

struct Gpt2 {
  static const char* next(const Scanner& scan, const char* p) {
    if (const char* q = scan.contraction(p, false); q != p) return q;
    const char* q = *p == ' ' && p + 1 < scan.end() ? p + 1 : p;
    std::uint32_t n = 0;
    const CharClass c = scan.at(q, n);
    if (is_letter(c)) return scan.letters(q + n);
    if (c == CharClass::kNumber) return scan.run(q + n, [](CharClass d) { return d == CharClass::kNumber; });
    return c == CharClass::kSpace ? scan.spaces(p) : scan.symbols(q + n);
  }
};

std::uint64_t lowest(std::size_t n) { return n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1; }

// Gpt2 on 64 bytes at once: which bytes begin a word, as a mask made of masks, with no branch for a word. It begins at
// a word's first byte, so it need not know what stands before; what the bytes behind the block decide is left open.
class Gpt2Block {
 public:
  // At `p`, where a word begins; 64 bytes can be read, the first `n` of which are the text's.
  Gpt2Block(const UnicodeTable& table, const char* p, std::size_t n, bool ends_text)
      : p_(p), n_known_(n), ends_text_(ends_text), is_(ascii_classes(p)) {
    is_.beyond_ascii &= lowest(n_known_);
    if (is_.beyond_ascii) classify_beyond_ascii(table);
    const std::uint64_t known = lowest(n_known_);
    const std::uint64_t letter = is_.letter & known, digit = is_.digit & known, space = is_.space & known;
    const std::uint64_t symbol = known & ~(letter | digit | space);
    const std::uint64_t continues = (letter & letter << 1) | (digit & digit << 1) | (symbol & symbol << 1);
    const std::uint64_t leads_word = known & ~space & ~continues & ~(is_.blank << 1);
    const std::uint64_t leads_space = space & (~(space << 1) | (known & ~space) >> 1);
    starts_ = leads_word | leads_space | 1;
    // What the next character decides: the last byte's place in white space.
    n_decided_ = ends_text_ ? n_known_ : n_known_ < 2 ? 0 : n_known_ - 1;
    cut_contractions(letter);
  }

  // Appends the lengths of the words that are decided (room for 64), returns their bytes; 0: none is.
  std::size_t put(std::uint32_t* lengths, std::size_t& n_lengths) const {
    std::uint64_t ends = starts_ & ~std::uint64_t{1} & lowest(n_decided_);
    std::size_t begin = 0;
    for (; ends; ends &= ends - 1) {
      const auto end = static_cast<std::size_t>(std::countr_zero(ends));
      lengths[n_lengths++] = static_cast<std::uint32_t>(end - begin);
      begin = end;
    }
    if (ends_text_ && n_decided_ == n_known_) {
      lengths[n_lengths++] = static_cast<std::uint32_t>(n_known_ - begin);
      begin = n_known_;
    }
    return begin;
  }

 private:
  // All bytes of a character beyond ASCII get its class. White space among them, or a character that the block cuts, ends
  // what is known.
  void classify_beyond_ascii(const UnicodeTable& table) {
    const char* const end = p_ + n_known_;
    for (std::uint64_t left = is_.beyond_ascii; left;) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      std::uint32_t n = 0;
      const auto c = static_cast<CharClass>(properties_at(table, p_ + i, end, n) & 15);
      const bool may_be_cut = !ends_text_ && n_known_ - i < 4;
      if (c == CharClass::kSpace || may_be_cut) {
        n_known_ = i;
        ends_text_ = false;
        return;
      }
      const std::uint64_t bytes = lowest(n) << i;
      if (is_letter(c)) is_.letter |= bytes;
      if (c == CharClass::kNumber) is_.digit |= bytes;
      left &= ~bytes;
    }
  }

  // 's 't 're 've 'm 'll 'd where a word begins with it: the letter no longer does, what follows does.
  void cut_contractions(std::uint64_t letter) {
    for (std::uint64_t left = starts_ & is_.apostrophe & letter >> 1 & lowest(n_decided_); left; left &= left - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      if (i + 3 > n_decided_ && !ends_text_) {
        n_decided_ = std::min(n_decided_, i + 1);
        return;
      }
      const char a = p_[i + 1], b = i + 2 < n_known_ ? p_[i + 2] : '\0';
      const bool of_one = a == 's' || a == 't' || a == 'm' || a == 'd';
      if (!of_one && !((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))) continue;
      const std::size_t behind = i + (of_one ? 2 : 3);
      starts_ &= ~(std::uint64_t{2} << i);
      if (behind < 64) starts_ |= std::uint64_t{1} << behind;
    }
  }

  const char* p_;
  std::size_t n_known_, n_decided_ = 0;
  bool ends_text_;
  AsciiClasses is_;
  std::uint64_t starts_ = 0;
};

class Gpt2Splitter final : public Splitter {
 public:
  Gpt2Splitter() { UnicodeTable::instance(); }  // made when a tokenizer is loaded, not by its first text

  std::size_t split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const override {
    const UnicodeTable& table = UnicodeTable::instance();
    const Scanner scan(text);
    const char* p = text.data() + at;
    std::size_t n = 0;
    while (p < scan.end() && n + kBlockBytes <= lengths.size()) {
      const auto n_left = static_cast<std::size_t>(scan.end() - p);
      std::size_t n_bytes = 0;
      if (n_left >= kBlockBytes) {
        n_bytes = Gpt2Block(table, p, kBlockBytes, n_left == kBlockBytes).put(lengths.data(), n);
      } else {
        char last[kBlockBytes] = {};
        std::memcpy(last, p, n_left);
        n_bytes = Gpt2Block(table, last, n_left, true).put(lengths.data(), n);
      }
      if (n_bytes == 0) lengths[n++] = static_cast<std::uint32_t>(n_bytes = word_bytes(scan, p));
      p += n_bytes;
    }
    while (p < scan.end() && n < lengths.size() && lengths.size() < kBlockBytes) {
      lengths[n] = static_cast<std::uint32_t>(word_bytes(scan, p));
      p += lengths[n++];
    }
    return n;
  }

 private:
  static std::size_t word_bytes(const Scanner& scan, const char* p) {
    return static_cast<std::size_t>(Gpt2::next(scan, p) - p);
  }
};

template <int kMaxDigits, bool kEndFirst>
struct Llama3 {
  static const char* next(const Scanner& scan, const char* p) {
    if (const char* q = scan.contraction(p, true); q != p) return q;
    std::uint32_t n = 0, m = 0;
    const CharClass c = scan.at(p, n);
    if (is_letter(c)) return scan.letters(p + n);
    if (c == CharClass::kNumber) return scan.numbers(p, kMaxDigits);
    if (p + n < scan.end() && *p != '\r' && *p != '\n' && is_letter(scan.at(p + n, m))) return scan.letters(p + n + m);
    return symbols_or_spaces(scan, p, c, false, kEndFirst);
  }

  //  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  static const char* symbols_or_spaces(const Scanner& scan, const char* p, CharClass c, bool slash, bool end_first) {
    const char* q = c == CharClass::kSpace ? (*p == ' ' ? p + 1 : nullptr) : p;
    const char* symbols_end = q ? scan.symbols(q) : q;
    if (symbols_end == q) return scan.spaces_or_lines(p, end_first);
    q = symbols_end;
    while (q < scan.end() && (*q == '\r' || *q == '\n' || (slash && *q == '/'))) ++q;
    return q;
  }
};

struct O200k {
  static bool starts(CharClass c) { return c == CharClass::kUpper || c == CharClass::kTitle || continues_both(c); }
  static bool continues(CharClass c) { return c == CharClass::kLower || continues_both(c); }
  static bool continues_both(CharClass c) {
    return c == CharClass::kModifier || c == CharClass::kOtherLetter || c == CharClass::kMark;
  }

  // starts* continues+: greedy, giving back until something is left for the second; nullptr where nothing is.
  static const char* lower_word(const Scanner& scan, const char* p) {
    const char *q = p, *last_both_end = nullptr;
    std::uint32_t n = 0;
    for (; q < scan.end(); q += n) {
      const CharClass c = scan.at(q, n);
      if (!starts(c)) break;
      if (continues(c)) last_both_end = q + n;
    }
    const char* end = scan.run(q, continues);
    return end != q ? end : last_both_end;
  }
  // starts+ continues*
  static const char* upper_word(const Scanner& scan, const char* p) {
    const char* q = scan.run(p, starts);
    return q == p ? nullptr : scan.run(q, continues);
  }

  static const char* next(const Scanner& scan, const char* p) {
    std::uint32_t n = 0;
    const CharClass c = scan.at(p, n);
    if (c == CharClass::kNumber) return scan.numbers(p, 3);
    const bool may_lead = !is_letter(c) && *p != '\r' && *p != '\n';
    for (const auto word : {lower_word, upper_word}) {
      const char* end = may_lead ? word(scan, p + n) : nullptr;
      if (!end) end = word(scan, p);
      if (end) return scan.contraction(end, true);
    }
    return Llama3<3, false>::symbols_or_spaces(scan, p, c, true, false);
  }
};

template <typename Rules>
class HandWritten final : public Splitter {
 public:
  std::size_t split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const override {
    const Scanner scan(text);
    const char* p = text.data() + at;
    std::size_t n = 0;
    while (n < lengths.size() && p < scan.end()) {
      const char* q = Rules::next(scan, p);
      lengths[n++] = static_cast<std::uint32_t>(q - p);
      p = q;
    }
    return n;
  }
};

struct Known {
  const char* name;
  const char* pattern;  // nullptr: another spelling stands elsewhere in the list
  std::unique_ptr<Splitter> (*make)();
};

template <typename Made>
std::unique_ptr<Splitter> make() {
  return std::make_unique<Made>();
}

#define LMBITS_LOWER R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define LMBITS_UPPER R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
#define LMBITS_SHORT R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define LMBITS_TAIL R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"

constexpr Known kKnown[] = {
    {"gpt2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", make<Gpt2Splitter>},
    {"r50k", R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)", make<Gpt2Splitter>},
    {"p50k", R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", make<Gpt2Splitter>},
    {"cl100k",
     R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)",
     make<HandWritten<Llama3<3, true>>>},
    {"llama3", LMBITS_SHORT R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" LMBITS_TAIL,
     make<HandWritten<Llama3<3, false>>>},
    {"qwen2", LMBITS_SHORT R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" LMBITS_TAIL,
     make<HandWritten<Llama3<1, false>>>},
    {"qwen", nullptr, make<HandWritten<Llama3<1, false>>>},
    {"o200k",
     LMBITS_LOWER LMBITS_SHORT "?|" LMBITS_UPPER LMBITS_SHORT R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" LMBITS_TAIL,
     make<HandWritten<O200k>>},
};

}  // namespace

std::vector<std::string> splitter_names() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

std::string splitter_pattern(std::string_view name) {
  for (const Known& known : kKnown) {
    if (name == known.name && known.pattern) return known.pattern;
  }
  throw std::logic_error("lmbits bug: no splitter is called " + std::string(name));
}

std::unique_ptr<Splitter> make_named_splitter(std::string_view name) {
  for (const Known& known : kKnown) {
    if (name == known.name) return known.make();
  }
  return nullptr;
}

std::unique_ptr<Splitter> make_pattern_splitter(const std::string& pattern, RegexDialect dialect) {
  // Oniguruma reads {1,3}+ as a repeated repetition, where it is possessive for Rust.
  const bool means_something_else = dialect == RegexDialect::kOniguruma && pattern.find("{1,3}+") != std::string::npos;
  for (const Known& known : kKnown) {
    if (known.pattern && pattern == known.pattern && !means_something_else) return known.make();
  }
  return std::make_unique<PatternSplitter>(pattern, dialect);
}

}  // namespace lmbits
