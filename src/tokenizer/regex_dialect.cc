#include "src/tokenizer/regex_dialect.h"

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "src/core/error.h"

namespace lmbits {
namespace {

// Members of classes. PCRE2's own \s holds U+180E, its \w neither marks nor connectors. Oniguruma's \w outside of a class holds
// Latin-1's other numbers, too.
constexpr std::string_view kSpace = R"(\x09-\x0d\x{85}\p{Z})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kLoneWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe)";
constexpr std::string_view kRustWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";
// Escapes that mean the same everywhere, but for punctuation, which stands for itself.
constexpr std::string_view kSharedEscapes = "ntrfaedDAzZ";

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Characters of a class: members for between brackets, and expressions of one character beside these.
struct CharacterSet {
  std::string members;
  std::vector<std::string> others;
  bool negated = false;

  std::string expression() const {
    std::string any;
    if (!members.empty()) any = "[" + members + "]";
    for (const std::string& other : others) any += (any.empty() ? "" : "|") + other;
    if (any.empty()) any = "(?!)";
    if (!negated) return others.empty() ? any : "(?:" + any + ")";
    if (others.empty() && !members.empty()) return "[^" + members + "]";
    return "(?:(?!" + any + ")(?s:.))";
  }
};

class Translator {
 public:
  Translator(const std::string& pattern, RegexDialect dialect) : pattern_(pattern), dialect_(dialect) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        atom_ = out_.size();
        out_ += escape();
      } else if (c == '[') {
        ++at_;
        atom_ = out_.size();
        out_ += character_class().expression();
      } else if (rest().starts_with("(?")) {
        group();
      } else if (c == '{') {
        interval();
      } else {
        plain(c);
      }
    }
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return std::string_view(pattern_).substr(at_); }
  bool is_oniguruma() const { return dialect_ == RegexDialect::kOniguruma; }
  std::string_view word(bool in_class) const { return !is_oniguruma() ? kRustWord : in_class ? kWord : kLoneWord; }

  [[noreturn]] void refuse(const std::string& part, const std::string& why) const {
    throw Error(ErrorKind::kUnsupported, "the pattern " + pattern_ + " holds " + part + ", which is not read",
                why + "; it would be a case of src/tokenizer/regex_dialect.cc");
  }

  void plain(char c) {
    constexpr std::string_view kNoAtoms = "*+?|^$";
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (c == '(') groups_.push_back(out_.size());
    if (c == ')' && !groups_.empty()) {
      atom_ = groups_.back();
      groups_.pop_back();
    } else if (!continues && kNoAtoms.find(c) == std::string_view::npos) {
      atom_ = out_.size();
    }
    out_ += c;
    ++at_;
  }

  // The set that an escape stands for; nullopt for one that is a character, or that PCRE2 reads alike.
  std::optional<CharacterSet> set_of(char escaped, bool in_class) const {
    switch (escaped) {
      case 's':
      case 'S':
        return CharacterSet{std::string(kSpace), {}, escaped == 'S'};
      case 'w':
      case 'W':
        return CharacterSet{std::string(word(in_class)), {}, escaped == 'W'};
      case 'h':
      case 'H':
        return CharacterSet{std::string(kHexDigit), {}, escaped == 'H'};
      default:
        return std::nullopt;
    }
  }

  // Takes an escape that is no set, and gives it in PCRE2's spelling.
  std::string character_escape() {
    if (at_ + 1 == pattern_.size()) refuse("a lone backslash at its end", "it escapes nothing");
    const std::size_t begin = at_;
    const char c = pattern_[at_ + 1];
    at_ += 2;
    if (c == 'v') return R"(\x0b)";
    if (c == 'p' || c == 'P') {
      const std::size_t end = pattern_.find('}', at_);
      if (at_ < pattern_.size() && pattern_[at_] == '{' && end != std::string::npos) {
        at_ = end + 1;
      } else {
        at_ += at_ < pattern_.size() ? 1 : 0;
      }
    } else if (c == 'u') {
      std::size_t n = 0;
      while (n < 4 && at_ + n < pattern_.size() && is_hex_digit(pattern_[at_ + n])) ++n;
      if (n < 4) refuse("\\u without four digits", "write \\x{...}");
      at_ += 4;
      return "\\x{" + pattern_.substr(at_ - 4, 4) + "}";
    } else if (c == 'x') {
      const bool is_high = at_ < pattern_.size() && pattern_[at_] >= '8' && pattern_[at_] != '{';
      if (is_oniguruma() && is_high)
        refuse("a byte as \\xHH beyond ASCII", "it stands for a part of a character: write the character");
      while (at_ < pattern_.size() && pattern_[at_] != '{' && at_ < begin + 4 && is_hex_digit(pattern_[at_])) ++at_;
      if (at_ < pattern_.size() && at_ == begin + 2 && pattern_[at_] == '{') {
        const std::size_t end = pattern_.find('}', at_);
        if (end == std::string::npos) refuse("\\x{ without }", "write \\x{...}");
        at_ = end + 1;
      }
    } else if (is_alphanumeric(c) && kSharedEscapes.find(c) == std::string_view::npos) {
      refuse(std::string("\\") + c, "back references, subroutines and other escapes are not read");
    }
    return pattern_.substr(begin, at_ - begin);
  }

  std::string escape() {
    const char c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    if (const auto set = set_of(c, false)) {
      at_ += 2;
      return set->expression();
    }
    if (c == 'b' || c == 'B') {
      at_ += 2;
      const std::string w = "[" + std::string(word(false)) + "]";
      return c == 'b' ? "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))"
                      : "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
    }
    if (is_oniguruma() && c == 'R') {
      at_ += 2;
      return R"((?>\r\n|[\n-\r\x{85}\x{2028}\x{2029}]))";
    }
    return character_escape();
  }

  // From behind its bracket to behind its end.
  CharacterSet character_class() {
    CharacterSet set;
    if (at_ < pattern_.size() && pattern_[at_] == '^') {
      set.negated = true;
      ++at_;
    }
    std::vector<std::string> intersected;  // what stood before each &&
    for (bool is_first = true;; is_first = false) {
      if (at_ >= pattern_.size()) refuse("[ without ]", "the class does not end");
      const char c = pattern_[at_];
      if (c == ']' && !is_first) break;
      if (rest().starts_with("&&")) {
        intersected.push_back(CharacterSet{set.members, set.others}.expression());
        set.members.clear();
        set.others.clear();
        at_ += 2;
      } else if (!is_oniguruma() && (rest().starts_with("--") || rest().starts_with("~~"))) {
        refuse(std::string(rest().substr(0, 2)) + " in a class", "write the characters, or [a&&[^b]]");
      } else {
        add_member(set);
      }
    }
    ++at_;
    if (intersected.empty()) return set;
    std::string all;
    for (const std::string& one : intersected) all += "(?=" + one + ")";
    return {"", {"(?:" + all + CharacterSet{set.members, set.others}.expression() + ")"}, set.negated};
  }

  void add_member(CharacterSet& set) {
    const auto add = [&](const CharacterSet& more) {
      if (more.negated || !more.others.empty()) {
        set.others.push_back(more.expression());
      } else {
        set.members += more.members;
      }
    };
    if (rest().starts_with("[:")) {
      add(named_class());
    } else if (pattern_[at_] == '[') {
      ++at_;
      add(character_class());
    } else if (pattern_[at_] != '\\') {
      if (pattern_[at_] == ']') set.members += '\\';
      set.members += pattern_[at_++];
    } else if (const auto escaped = set_of(at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0', true)) {
      at_ += 2;
      add(*escaped);
    } else if (rest().starts_with("\\b")) {
      at_ += 2;
      set.members += R"(\x08)";
    } else {
      set.members += character_escape();
    }
  }

  CharacterSet named_class() {
    static const std::map<std::string, std::string, std::less<>> known = {
        {"alpha", R"(\p{Alphabetic})"}, {"alnum", R"(\p{Alphabetic}\p{Nd})"}, {"digit", R"(\p{Nd})"},
        {"lower", R"(\p{Lowercase})"},  {"upper", R"(\p{Uppercase})"},        {"space", std::string(kSpace)},
        {"punct", R"(\p{P}\p{S})"},     {"word", std::string(kWord)},         {"xdigit", std::string(kHexDigit)},
        {"blank", R"(\p{Zs}\t)"}};
    const std::size_t end = pattern_.find(":]", at_ + 2);
    if (end == std::string::npos) refuse("[: without :]", "write the characters");
    std::string name = pattern_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.erase(0, 1);
    const auto found = known.find(name);
    if (found == known.end() || !is_oniguruma()) refuse("[:" + name + ":]", "write the characters");
    at_ = end + 2;
    return {found->second, {}, negated};
  }

  // "(?" and what says which group it is.
  void group() {
    static constexpr std::string_view kShared[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    for (const std::string_view begin : kShared) {
      if (!rest().starts_with(begin)) continue;
      groups_.push_back(out_.size());
      out_ += begin;
      at_ += begin.size();
      return;
    }
    std::size_t end = at_ + 2;
    while (end < pattern_.size() && std::string_view("imsx-").find(pattern_[end]) != std::string_view::npos) ++end;
    if (end == pattern_.size() || (pattern_[end] != ':' && pattern_[end] != ')'))
      refuse(pattern_.substr(at_, 3), "groups with names, conditions and comments are not read");
    std::string flags = pattern_.substr(at_ + 2, end - at_ - 2);
    for (char& flag : flags) {
      if (flag == 'x') refuse("(?x", "write the pattern without white space");
      if (!is_oniguruma()) continue;
      if (flag == 's') refuse("(?s", "Oniguruma's Ruby syntax has it not");
      if (flag == 'm') flag = 's';
    }
    if (is_oniguruma() && pattern_[end] == ')' && at_ > 0)  // there it also groups the alternatives behind it
      refuse("(?" + flags + ") after its beginning", "write (?" + flags + ":...)");
    if (pattern_[end] == ':') groups_.push_back(out_.size());
    out_ += "(?" + flags + pattern_[end];
    at_ = end + 1;
  }

  // {n}, {n,}, {n,m}, {,m}; anything else is text.
  void interval() {
    std::size_t end = at_ + 1;
    while (end < pattern_.size() && (pattern_[end] == ',' || (pattern_[end] >= '0' && pattern_[end] <= '9'))) ++end;
    const std::string inside = pattern_.substr(at_ + 1, end - at_ - 1);
    const bool is_interval = end < pattern_.size() && pattern_[end] == '}' && !inside.empty() && inside != "," &&
                             inside.find(',') == inside.rfind(',');
    if (!is_interval) {
      out_ += "\\{";
      ++at_;
      return;
    }
    at_ = end + 1;
    const char behind = at_ < pattern_.size() ? pattern_[at_] : '\0';
    const bool is_fixed = inside.find(',') == std::string::npos;
    const std::string spelt = (inside.starts_with(',') ? "{0" : "{") + inside + "}";
    if (is_oniguruma() && (behind == '+' || (behind == '?' && is_fixed))) {
      // Neither possessive nor lazy, but a repetition of the repetition.
      out_ = out_.substr(0, atom_) + "(?:" + out_.substr(atom_) + spelt + ")";
    } else {
      out_ += spelt;
    }
  }

  const std::string& pattern_;
  RegexDialect dialect_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // of out_, where what a repetition repeats begins
  std::vector<std::size_t> groups_;  // where the open ones begin
};

}  // namespace

std::string to_pcre2(const std::string& pattern, RegexDialect dialect) { return Translator(pattern, dialect).run(); }

}  // namespace lmbits
