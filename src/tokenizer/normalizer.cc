#include "src/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/tokenizer/byte_blocks.h"
#include "src/tokenizer/pattern.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string what) : what_(std::move(what)) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  AlignedText apply(AlignedText text) const override {
    if (text.text.empty()) return text;
    TextChange change(text);
    change.put(what_, 0);
    change.copy(0, text.text.size());
    return change.finish();
  }

 private:
  std::string what_;
};

class ReplaceString final : public Normalizer {
 public:
  ReplaceString(std::string what, std::string by) : what_(std::move(what)), by_(std::move(by)) {}
  bool may_change(std::string_view text) const override { return !what_.empty() && text.find(what_) != text.npos; }
  AlignedText apply(AlignedText text) const override {
    if (!may_change(text.text)) return text;
    TextChange change(text);
    std::size_t at = 0;
    for (std::size_t found; (found = text.text.find(what_, at)) != std::string::npos; at = found + what_.size()) {
      change.copy(at, found);
      change.put(by_, found);
    }
    change.copy(at, text.text.size());
    return change.finish();
  }

 private:
  std::string what_, by_;
};

class ReplacePattern final : public Normalizer {
 public:
  ReplacePattern(const std::string& pattern, std::string by)
      : source_(pattern), pattern_(pattern, RegexDialect::kOniguruma), by_(std::move(by)) {}
  bool may_change(std::string_view text) const override { return pattern_.find(text, 0, true).has_value(); }
  AlignedText apply(AlignedText text) const override {
    TextChange change(text);
    std::size_t at = 0;
    for (bool is_first = true; const auto match = pattern_.find(text.text, at, is_first); is_first = false) {
      if (match->begin == match->end)
        throw Error(ErrorKind::kData, "a Replace normalizer's pattern matches between two characters",
                    "patterns that match characters are read: " + source_);
      change.copy(at, match->begin);
      change.put(by_, match->begin);
      at = match->end;
    }
    change.copy(at, text.text.size());
    return change.finish();
  }

 private:
  std::string source_;
  Pattern pattern_;
  std::string by_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool may_change(std::string_view) const override { return true; }
  AlignedText apply(AlignedText text) const override {
    const UnicodeTable& table = UnicodeTable::instance();
    const char *const begin = text.text.data(), *const end = begin + text.text.size();
    const char *first = end, *last = begin;
    std::uint32_t n = 0;
    for (const char* p = begin; p < end; p += n) {
      if (static_cast<CharClass>(properties_at(table, p, end, n) & 15) == CharClass::kSpace) continue;
      first = std::min(first, p);
      last = p + n;
    }
    TextChange change(text);
    const char* from = left_ ? first : begin;
    change.copy(static_cast<std::size_t>(from - begin),
                static_cast<std::size_t>((right_ ? std::max(last, from) : end) - begin));
    return change.finish();
  }

 private:
  bool left_, right_;
};

class Lowercase final : public Normalizer {
 public:
  bool may_change(std::string_view) const override { return true; }
  AlignedText apply(AlignedText text) const override {
    TextChange change(text);
    const char *const begin = text.text.data(), *const end = begin + text.text.size();
    for (const char* p = begin; p < end;) {
      const Decoded c = decode_utf8(p, end);
      const auto at = static_cast<std::size_t>(p - begin);
      std::string lower;
      if (c.code_point == 0x130) {
        lower = "i\xCC\x87";  // the one character whose lower case is two
      } else if (c.code_point != kInvalidByte) {
        append_utf8(lower, static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code_point))));
      }
      if (lower.empty()) {
        change.copy(at, at + c.n_bytes);
      } else {
        change.put(lower, at);
      }
      p += c.n_bytes;
    }
    return change.finish();
  }
};

// NFC, NFD, NFKC, NFKD. A text is cut before each character that Unicode 9.0 knows and that nothing before it can
// combine with; the parts are normalised each by itself.
class Form final : public Normalizer {
 public:
  explicit Form(int options) : options_(options) {}

  bool may_change(std::string_view text) const override { return next_change(text, 0).has_value(); }

  AlignedText apply(AlignedText text) const override {
    TextChange change(text);
    std::size_t done = 0;
    while (const auto found = next_change(text.text, done)) {
      change.copy(done, found->begin);
      change.put(found->normal, found->begin);
      done = found->end;
    }
    change.copy(done, text.text.size());
    return change.finish();
  }

 private:
  struct Change {
    std::size_t begin, end;
    std::string normal;
  };

  // The next part from `at` on that is not normal yet. For NFC only what is unstable is looked at, with the character before
  // it: most texts are in NFC.
  std::optional<Change> next_change(std::string_view text, std::size_t at) const {
    const char* const end = text.data() + text.size();
    const char* before = nullptr;  // a character that what follows may combine with
    for (const char* p = text.data() + at; p < end;) {
      const char* const ascii = ascii_end(p, end);
      if (ascii > p) before = ascii - 1;
      if (ascii == end) break;
      p = ascii;
      std::uint32_t n = 0;
      const std::uint8_t properties = properties_at(table_, p, end, n);  // of an invalid byte none
      const bool is_unstable = (properties & kUnstableNfc) != 0;
      const bool is_new = (properties & kNewToUnicode9) != 0;
      if (is_new || n == 1 || (!is_unstable && options_ == UTF8PROC_COMPOSE)) {
        before = is_new || n == 1 ? nullptr : p;
        p += n;
        continue;
      }
      const char* const part_begin = is_unstable && before ? before : p;
      const char* const part_end = next_part(part_begin, end);
      const std::string_view part(part_begin, static_cast<std::size_t>(part_end - part_begin));
      if (std::string normal = normalized(part); normal != part) {
        const auto begin = static_cast<std::size_t>(part_begin - text.data());
        return Change{begin, begin + part.size(), std::move(normal)};
      }
      before = nullptr;
      p = part_end;
    }
    return std::nullopt;
  }

  bool is_foreign(const char* p, const char* end, std::uint32_t& n) const {
    const Decoded c = decode_utf8(p, end);
    n = c.n_bytes;
    return c.code_point == kInvalidByte || (table_.properties(c.code_point) & kNewToUnicode9) != 0;
  }

  const char* next_part(const char* p, const char* end) const {
    std::uint32_t n = 0;
    if (is_foreign(p, end, n)) return p + n;
    for (p += n; p < end; p += n) {
      if (is_foreign(p, end, n) || !(properties_at(table_, p, end, n) & kUnstableNfc)) break;
    }
    return p;
  }

  // Decomposed, each run of marks sorted by its combining classes (Unicode 16, D108 and D109). `part` is valid.
  std::string with_ordered_marks(std::string_view part) const {
    struct Mark {
      utf8proc_int32_t code_point;
      int combining_class;
    };
    const auto option =
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (options_ & UTF8PROC_COMPAT));
    std::vector<Mark> all;
    for (const char *p = part.data(), *end = p + part.size(); p < end;) {
      const Decoded c = decode_utf8(p, end);
      std::array<utf8proc_int32_t, 32> decomposed;  // the longest decomposition has 18
      int boundary = 0;
      const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code_point), decomposed.data(),
                                             static_cast<utf8proc_ssize_t>(decomposed.size()), option, &boundary);
      for (utf8proc_ssize_t i = 0; i < n && i < std::ssize(decomposed); ++i) {
        const utf8proc_int32_t code_point = decomposed[static_cast<std::size_t>(i)];
        all.push_back({code_point, utf8proc_get_property(code_point)->combining_class});
      }
      p += c.n_bytes;
    }
    const auto is_mark = [](const Mark& mark) { return mark.combining_class != 0; };
    for (auto begin = all.begin(); (begin = std::find_if(begin, all.end(), is_mark)) != all.end();) {
      const auto run_end = std::find_if_not(begin, all.end(), is_mark);
      std::stable_sort(begin, run_end,
                       [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
      begin = run_end;
    }
    std::string text;
    for (const Mark& mark : all) append_utf8(text, static_cast<std::uint32_t>(mark.code_point));
    return text;
  }

  std::string normalized(std::string_view part) const {
    std::uint32_t n = 0;
    if (part.size() == 1 || is_foreign(part.data(), part.data() + part.size(), n)) return std::string(part);
    // utf8proc moves each mark to its place past all before it: a long run of them is put in order here.
    constexpr std::size_t kLongPart = 256;
    const std::string ordered = part.size() > kLongPart ? with_ordered_marks(part) : std::string();
    const std::string_view text = ordered.empty() ? part : ordered;
    utf8proc_uint8_t* made = nullptr;
    const auto size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                     &made, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options_));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(made, std::free);
    return size < 0 ? std::string(part)
                    : std::string(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  }

  const UnicodeTable& table_ = UnicodeTable::instance();
  int options_;
};

std::unique_ptr<Normalizer> read_replace(const Json& json) {
  const Json& pattern = json.at("pattern");
  const auto content = json.at("content").get<std::string>();
  if (pattern.contains("String")) return std::make_unique<ReplaceString>(pattern["String"].get<std::string>(), content);
  return std::make_unique<ReplacePattern>(pattern.at("Regex").get<std::string>(), content);
}

void read_into(const Json& json, std::vector<std::unique_ptr<Normalizer>>& all) {
  const auto type = json.at("type").get<std::string>();
  if (type == "Sequence") {
    for (const Json& part : json.at("normalizers")) read_into(part, all);
  } else if (type == "NFC") {
    all.push_back(std::make_unique<Form>(UTF8PROC_COMPOSE));
  } else if (type == "NFD") {
    all.push_back(std::make_unique<Form>(UTF8PROC_DECOMPOSE));
  } else if (type == "NFKC") {
    all.push_back(std::make_unique<Form>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT));
  } else if (type == "NFKD") {
    all.push_back(std::make_unique<Form>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT));
  } else if (type == "Lowercase") {
    all.push_back(std::make_unique<Lowercase>());
  } else if (type == "Prepend") {
    all.push_back(std::make_unique<Prepend>(json.at("prepend").get<std::string>()));
  } else if (type == "Replace") {
    all.push_back(read_replace(json));
  } else if (type == "Strip") {
    all.push_back(std::make_unique<Strip>(json.value("strip_left", true), json.value("strip_right", true)));
  } else {
    throw Error(ErrorKind::kUnsupported, "the normalizer \"" + type + "\" of this tokenizer.json is not read",
                "read: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, Sequence; " + type +
                    " would be a class in src/tokenizer/normalizer.cc");
  }
}

}  // namespace

std::string normalization_library() {
  return std::string(utf8proc_version()) + ", Unicode " + utf8proc_unicode_version();
}

std::vector<std::unique_ptr<Normalizer>> read_normalizers(const Json& json) {
  std::vector<std::unique_ptr<Normalizer>> all;
  if (!json.is_null()) read_into(json, all);
  return all;
}

}  // namespace lmbits
