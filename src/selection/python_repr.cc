#include "src/selection/python_repr.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

struct PrintableRange {
  char32_t first, last;
  int since;
};

constexpr PrintableRange kPrintable[] = {
#include "src/selection/unicode_printable.inc"
};

bool is_printable(char32_t c, int unicode_version) {
  if (c < 0x7f) return c >= 0x20;
  const auto* range = std::upper_bound(std::begin(kPrintable), std::end(kPrintable), c,
                                       [](char32_t x, const PrintableRange& r) { return x < r.first; });
  if (range == std::begin(kPrintable)) return false;
  --range;
  return c <= range->last && range->since <= unicode_version;
}

void append_utf8(std::string& out, char32_t c) {
  const auto byte = [&](char32_t value) { out.push_back(static_cast<char>(static_cast<unsigned char>(value))); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F));
  if (c < 0x10000) return byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
  byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F));
}

void append_escape(std::string& out, char32_t c) {
  const int n_digits = c <= 0xFF ? 2 : c <= 0xFFFF ? 4 : 8;
  out += n_digits == 2 ? "\\x" : n_digits == 4 ? "\\u" : "\\U";
  for (int shift = 4 * (n_digits - 1); shift >= 0; shift -= 4) out += "0123456789abcdef"[c >> shift & 15];
}

// float.__repr__: the shortest digits that read back; as 1e-05 or 1e+16 outside of [1e-4, 1e16), else with a point.
std::string repr_of_float(double value) {
  if (value != value) return "nan";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  const std::size_t e = text.find('e');
  if (e == std::string::npos) return text;  // inf
  const int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return text;
  const std::string sign = value < 0 || text[0] == '-' ? "-" : "";
  std::string digits;
  for (const char c : text.substr(0, e))
    if (c >= '0' && c <= '9') digits += c;
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto n_whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= n_whole) return sign + digits + std::string(n_whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, n_whole) + "." + digits.substr(n_whole);
}

// json.loads and repr in one pass over the text.
class Transcriber {
 public:
  Transcriber(std::string_view json, int unicode_version) : json_(json), unicode_(unicode_version) {}

  std::string run() {
    const std::size_t n_valid = valid_utf8_prefix(json_);
    if (n_valid < json_.size()) {
      at_ = n_valid;
      fail("invalid UTF-8");
    }
    skip_space();
    std::string text = value(0);
    skip_space();
    if (at_ < json_.size()) fail("something follows the value");
    return text;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::kData, "not JSON that Python would read: " + why + " at byte " + std::to_string(at_));
  }

  char peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }
  void skip_space() {
    while (at_ < json_.size() && (json_[at_] == ' ' || json_[at_] == '\t' || json_[at_] == '\n' || json_[at_] == '\r'))
      ++at_;
  }
  bool take(std::string_view word) {
    if (!json_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string value(int depth) {
    if (depth > 900) fail("nested deeper than 900 levels");
    const char c = peek();
    if (c == '{') return object(depth);
    if (c == '[') return array(depth);
    if (c == '"') return python_repr(string(), unicode_);
    if (take("true")) return "True";
    if (take("false")) return "False";
    if (take("null")) return "None";
    if (take("NaN")) return "nan";
    if (take("Infinity")) return "inf";
    if (take("-Infinity")) return "-inf";
    return number();
  }

  std::string array(int depth) {
    std::string text = "[";
    ++at_;
    skip_space();
    if (take("]")) return "[]";
    while (true) {
      text += value(depth + 1);
      skip_space();
      if (take("]")) return text + "]";
      if (!take(",")) fail("expected , or ]");
      skip_space();
      text += ", ";
    }
  }

  std::string object(int depth) {
    std::vector<std::pair<std::string, std::string>> members;
    std::unordered_map<std::string, std::size_t> place_of;  // equal keys have equal reprs
    ++at_;
    skip_space();
    if (take("}")) return "{}";
    while (true) {
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = python_repr(string(), unicode_);
      skip_space();
      if (!take(":")) fail("expected :");
      skip_space();
      std::string content = value(depth + 1);
      const auto [place, is_new] = place_of.try_emplace(key, members.size());
      if (is_new) {
        members.emplace_back(std::move(key), std::move(content));
      } else {
        members[place->second].second = std::move(content);
      }
      skip_space();
      if (take("}")) break;
      if (!take(",")) fail("expected , or }");
      skip_space();
    }
    std::string text = "{";
    for (const auto& [key, content] : members) {
      if (text.size() > 1) text += ", ";
      text += key;
      text += ": ";
      text += content;
    }
    return text + "}";
  }

  std::size_t count_digits() {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - begin;
  }

  std::string number() {
    const std::size_t begin = at_;
    const bool is_negative = take("-");
    if (peek() < '0' || peek() > '9') {
      at_ = begin;
      fail("expected a value");
    }
    const std::size_t n_digits = take("0") ? 1 : count_digits();
    const std::size_t whole_end = at_;
    if (take(".") && count_digits() == 0) at_ = whole_end;
    const std::size_t fraction_end = at_;
    if (take("e") || take("E")) {
      if (!take("-")) take("+");
      if (count_digits() == 0) at_ = fraction_end;
    }
    const std::string_view text = json_.substr(begin, at_ - begin);
    if (at_ > whole_end) return repr_of_float(to_double(text));
    if (n_digits > 4300) fail("an integer of more than 4300 digits ends");
    return is_negative && text == "-0" ? "0" : std::string(text);
  }

  static double to_double(std::string_view text) {
    double value = 0.0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc()) return value;
    return std::strtod(std::string(text).c_str(), nullptr);  // too large: inf; too small: 0
  }

  char32_t hex4(std::size_t at) const {  // 0xFFFFFFFF where there are no four hex digits
    if (at + 4 > json_.size()) return 0xFFFFFFFF;
    std::uint32_t code = 0;
    const auto result = std::from_chars(json_.data() + at, json_.data() + at + 4, code, 16);
    return result.ptr == json_.data() + at + 4 ? char32_t{code} : char32_t{0xFFFFFFFF};
  }

  char32_t unicode_escape() {  // behind "\u"
    const char32_t first = hex4(at_);
    if (first == 0xFFFFFFFF) fail("expected four hex digits");
    at_ += 4;
    if (first < 0xD800 || first > 0xDBFF || !json_.substr(at_).starts_with("\\u")) return first;
    const char32_t second = hex4(at_ + 2);
    if (second < 0xDC00 || second > 0xDFFF) return first;
    at_ += 6;
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  char32_t escape() {  // behind the backslash
    const char c = peek();
    const std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    const std::size_t found = c == '\0' ? std::string_view::npos : from.find(c);
    if (found == std::string_view::npos && c != 'u') fail("no such escape");
    ++at_;
    return c == 'u' ? unicode_escape() : static_cast<char32_t>(to[found]);
  }

  char32_t character() {  // of UTF-8 that was checked
    const auto lead = static_cast<unsigned char>(json_[at_++]);
    if (lead < 0x80) return lead;
    const int n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    char32_t c = lead & (0x3Fu >> n_more);
    for (int i = 0; i < n_more; ++i) c = c << 6 | (static_cast<unsigned char>(json_[at_++]) & 0x3Fu);
    return c;
  }

  std::u32string string() {
    std::u32string text;
    ++at_;
    while (true) {
      if (at_ >= json_.size()) fail("a string without its end");
      const char c = json_[at_];
      if (c == '"') {
        ++at_;
        return text;
      }
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c == '\\') {
        ++at_;
        text += escape();
      } else {
        text += character();
      }
    }
  }

  std::string_view json_;
  int unicode_;
  std::size_t at_ = 0;
};

}  // namespace

int unicode_version_of_python(const std::string& python) {
  const std::pair<const char*, int> known[] = {
      {"3.9", 130}, {"3.10", 130}, {"3.11", 140}, {"3.12", 150}, {"3.13", 151}};
  for (const auto& [name, version] : known)
    if (python == name) return version;
  throw Error(ErrorKind::kConfig, "Python \"" + python + "\" is not one whose repr() is known",
              "3.9, 3.10, 3.11, 3.12 or 3.13");
}

std::string python_repr(std::u32string_view text, int unicode_version) {
  const bool has_single = text.find(U'\'') != std::u32string_view::npos;
  const char quote = has_single && text.find(U'"') == std::u32string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  out.reserve(text.size() + 2);
  for (const char32_t c : text) {
    if (c == static_cast<char32_t>(quote) || c == U'\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == U'\n') {
      out += "\\n";
    } else if (c == U'\r') {
      out += "\\r";
    } else if (c == U'\t') {
      out += "\\t";
    } else if (is_printable(c, unicode_version)) {
      append_utf8(out, c);
    } else {
      append_escape(out, c);
    }
  }
  return out + quote;
}

std::string python_repr_of_json(std::string_view json, int unicode_version) {
  return Transcriber(json, unicode_version).run();
}

}  // namespace lmbits
