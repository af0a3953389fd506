#include "src/tokenizer/pre_tokenizer.h"

#include <array>
#include <functional>
#include <unordered_map>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/tokenizer/pattern.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";

struct Segment {
  std::size_t begin, end;
  bool is_match;
};

// Covers [begin, end) of a text with matches and what lies between them.
using Segmenter = std::function<std::vector<Segment>(std::string_view text, std::size_t begin, std::size_t end)>;

enum class Behaviour { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behaviour read_behaviour(const std::string& name) {
  if (name == "Removed") return Behaviour::kRemoved;
  if (name == "Isolated") return Behaviour::kIsolated;
  if (name == "MergedWithPrevious") return Behaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behaviour::kMergedWithNext;
  if (name == "Contiguous") return Behaviour::kContiguous;
  throw Error(ErrorKind::kUnsupported, "the split behaviour \"" + name + "\" of this tokenizer.json is not read",
              "read: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

void put_words(const std::vector<Segment>& segments, Behaviour behaviour, std::vector<PreToken>& words) {
  const std::size_t first = words.size();
  bool previous = false;
  for (const Segment& s : segments) {
    const bool has_last = words.size() > first;
    bool joins = false;
    switch (behaviour) {
      case Behaviour::kRemoved:
        if (s.is_match) continue;
        break;
      case Behaviour::kIsolated:
        break;
      case Behaviour::kMergedWithPrevious:
        joins = has_last && s.is_match && !previous;
        break;
      case Behaviour::kMergedWithNext:
        joins = has_last && previous && !s.is_match;
        break;
      case Behaviour::kContiguous:
        joins = has_last && s.is_match == previous;
        break;
    }
    if (joins) {
      words.back().end = s.end;
    } else {
      words.push_back({s.begin, s.end});
    }
    previous = s.is_match;
  }
}

class SplitStep final : public PreTokenizer {
 public:
  SplitStep(Segmenter segmenter, Behaviour behaviour, bool invert)
      : segmenter_(std::move(segmenter)), behaviour_(behaviour), invert_(invert) {}
  void apply(CutText& text) const override {
    std::vector<PreToken> words;
    for (const PreToken& word : text.words) {
      std::vector<Segment> segments = segmenter_(text.aligned.text, word.begin, word.end);
      for (Segment& s : segments) s.is_match = s.is_match != invert_;
      put_words(segments, behaviour_, words);
    }
    text.words = std::move(words);
  }

 private:
  Segmenter segmenter_;
  Behaviour behaviour_;
  bool invert_;
};

Segmenter by_pattern(const std::string& regex) {
  return [pattern = std::make_shared<Pattern>(regex, RegexDialect::kOniguruma)](std::string_view text,
                                                                                std::size_t begin, std::size_t end) {
    std::vector<Segment> segments;
    const std::string_view word = text.substr(begin, end - begin);  // anchors and look-behind see the word alone
    std::size_t at = 0;
    for (bool is_first = true; const auto match = pattern->find(word, at, is_first); is_first = false) {
      if (match->begin > at) segments.push_back({begin + at, begin + match->begin, false});
      segments.push_back({begin + match->begin, begin + match->end, true});
      at = match->end;
    }
    if (at < word.size()) segments.push_back({begin + at, end, false});
    return segments;
  };
}

// One of the patterns that are written by hand: all of a text is matches.
Segmenter by_splitter(std::shared_ptr<Splitter> splitter) {
  return [splitter](std::string_view text, std::size_t begin, std::size_t end) {
    std::vector<Segment> segments;
    std::array<std::uint32_t, 64> lengths;
    const std::string_view word = text.substr(begin, end - begin);
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t n = splitter->split(word, at, lengths);
      for (std::size_t i = 0; i < n; at += lengths[i++])
        segments.push_back({begin + at, begin + at + lengths[i], true});
    }
    return segments;
  };
}

Segmenter by_string(const std::string& what) {
  return [what](std::string_view text, std::size_t begin, std::size_t end) {
    std::vector<Segment> segments;
    text = text.substr(0, end);
    while (begin < end) {
      const std::size_t found = what.empty() ? std::string_view::npos : text.find(what, begin);
      if (found == std::string_view::npos) break;
      if (found > begin) segments.push_back({begin, found, false});
      segments.push_back({found, found + what.size(), true});
      begin = found + what.size();
    }
    if (begin < end) segments.push_back({begin, end, false});
    return segments;
  };
}

// Each character that `holds` is a match of its own.
Segmenter by_property(bool (*holds)(std::uint8_t properties)) {
  return [holds](std::string_view text, std::size_t begin, std::size_t end) {
    const UnicodeTable& table = UnicodeTable::instance();
    std::vector<Segment> segments;
    std::uint32_t n = 0;
    for (std::size_t at = begin; at < end; at += n) {
      const bool is_match = holds(properties_at(table, text.data() + at, text.data() + end, n));
      if (!is_match && !segments.empty() && !segments.back().is_match) {
        segments.back().end = at + n;
      } else {
        segments.push_back({at, at + n, is_match});
      }
    }
    return segments;
  };
}

// \w+|[^\w\s]+: runs of either kind are matches, white space is not.
std::vector<Segment> word_runs(std::string_view text, std::size_t begin, std::size_t end) {
  const UnicodeTable& table = UnicodeTable::instance();
  std::vector<Segment> segments;
  int previous = -1;
  std::uint32_t n = 0;
  for (std::size_t at = begin; at < end; at += n) {
    const std::uint8_t properties = properties_at(table, text.data() + at, text.data() + end, n);
    const bool is_space = static_cast<CharClass>(properties & 15) == CharClass::kSpace;
    const int kind = is_space ? 0 : properties & kWordChar ? 1 : 2;
    if (kind == previous) {
      segments.back().end = at + n;
    } else {
      segments.push_back({at, at + n, !is_space});
    }
    previous = kind;
  }
  return segments;
}

bool is_number(std::uint8_t properties) { return static_cast<CharClass>(properties & 15) == CharClass::kNumber; }
bool is_space(std::uint8_t properties) { return static_cast<CharClass>(properties & 15) == CharClass::kSpace; }
bool is_punctuation(std::uint8_t properties) { return (properties & kPunctuation) != 0; }

// Rewrites each word by `rewrite(change, word)`.
template <typename Rewrite>
void rewrite_words(CutText& text, Rewrite rewrite) {
  TextChange change(text.aligned);
  for (PreToken& word : text.words) {
    const std::size_t begin = change.size();
    rewrite(change, word);
    word = {begin, change.size()};
  }
  text.aligned = change.finish();
}

class PrefixSpace final : public PreTokenizer {
 public:
  void apply(CutText& text) const override {
    rewrite_words(text, [&](TextChange& change, const PreToken& word) {
      if (text.aligned.text[word.begin] != ' ') change.put(" ", word.begin);
      change.copy(word.begin, word.end);
    });
  }
};

class ByteAlphabet final : public PreTokenizer {
 public:
  void apply(CutText& text) const override {
    rewrite_words(text, [&](TextChange& change, const PreToken& word) {
      for (std::size_t i = word.begin; i < word.end; ++i) change.put(to_byte_alphabet({&text.aligned.text[i], 1}), i);
    });
  }
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, std::string scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(std::move(scheme)), split_(split) {}
  void apply(CutText& text) const override {
    rewrite_words(text, [&](TextChange& change, const PreToken& word) {
      const std::string& s = text.aligned.text;
      const bool is_first = text.at_start && text.aligned.origin[word.begin] == 0;
      const bool starts_with_it =
          s[word.begin] == ' ' || std::string_view(s).substr(word.begin).starts_with(replacement_);
      if ((scheme_ == "always" || (scheme_ == "first" && is_first)) && !starts_with_it)
        change.put(replacement_, word.begin);
      for (std::size_t i = word.begin; i < word.end; ++i) {
        if (s[i] == ' ') {
          change.put(replacement_, i);
        } else {
          change.copy(i, i + 1);
        }
      }
    });
    if (split_) SplitStep(by_string(replacement_), Behaviour::kMergedWithNext, false).apply(text);
  }

 private:
  std::string replacement_, scheme_;
  bool split_;
};

std::string to_sentence_case(std::string name) {  // older files spell behaviours "isolated"
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

class Reader {
 public:
  PreTokenization read(const Json& json) {
    if (!json.is_null()) add(json);
    if (!is_one_splitter_) result_.splitter.reset();
    return std::move(result_);
  }

 private:
  void add(const Json& json) {
    const auto type = json.at("type").get<std::string>();
    if (type == "Sequence") {
      for (const Json& part : json.at("pretokenizers")) add(part);
      return;
    }
    if (result_.byte_level && (type == "ByteLevel" || type == "Metaspace"))
      throw Error(ErrorKind::kUnsupported, "the pre-tokenizer " + type + " stands behind a ByteLevel",
                  "read: one ByteLevel, and behind it what cuts and adds nothing");
    if (result_.byte_level && !result_.bytes_mapped) {
      result_.bytes_mapped = true;
      put(std::make_unique<ByteAlphabet>());
    }
    if (type == "ByteLevel") {
      add_byte_level(json);
    } else if (type == "Split") {
      add_split(json);
    } else if (type == "Digits") {
      put_split(by_property(is_number),
                json.value("individual_digits", false) ? Behaviour::kIsolated : Behaviour::kContiguous, false);
    } else if (type == "Metaspace") {
      add_metaspace(json);
    } else if (type == "Whitespace") {
      put_split(word_runs, Behaviour::kRemoved, true);
    } else if (type == "WhitespaceSplit") {
      put_split(by_property(is_space), Behaviour::kRemoved, false);
    } else if (type == "Punctuation") {
      put_split(by_property(is_punctuation), read_behaviour(to_sentence_case(json.value("behavior", "Isolated"))),
                false);
    } else if (type == "CharDelimiterSplit") {
      put_split(by_string(json.at("delimiter").get<std::string>()), Behaviour::kRemoved, false);
    } else {
      throw Error(
          ErrorKind::kUnsupported, "the pre-tokenizer \"" + type + "\" of this tokenizer.json is not read",
          "read: ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, CharDelimiterSplit, "
          "Sequence; " +
              type + " would be a class in src/tokenizer/pre_tokenizer.cc");
    }
  }

  void put(std::unique_ptr<PreTokenizer> step) {
    result_.steps.push_back(std::move(step));
    is_one_splitter_ = false;
  }
  void put_split(Segmenter segmenter, Behaviour behaviour, bool invert) {
    put(std::make_unique<SplitStep>(std::move(segmenter), behaviour, invert));
  }
  void put_splitter(std::unique_ptr<Splitter> splitter, Segmenter segmenter) {
    const bool is_first = result_.steps.empty();
    put_split(std::move(segmenter), Behaviour::kIsolated, false);
    result_.splitter = std::move(splitter);
    is_one_splitter_ = is_first;
  }

  void add_byte_level(const Json& json) {
    result_.byte_level = true;
    if (json.value("add_prefix_space", true)) {
      result_.adds_prefix = true;
      put(std::make_unique<PrefixSpace>());
    }
    if (json.value("use_regex", true))
      put_splitter(make_named_splitter("gpt2"), by_splitter(make_named_splitter("gpt2")));
  }

  void add_split(const Json& json) {
    const Json& pattern = json.at("pattern");
    const Behaviour behaviour = read_behaviour(to_sentence_case(json.at("behavior").get<std::string>()));
    const bool invert = json.value("invert", false);
    if (pattern.contains("String"))
      return put_split(by_string(pattern["String"].get<std::string>()), behaviour, invert);
    const auto regex = pattern.at("Regex").get<std::string>();
    std::unique_ptr<Splitter> splitter = make_pattern_splitter(regex, RegexDialect::kOniguruma);
    const bool by_hand = dynamic_cast<const PatternSplitter*>(splitter.get()) == nullptr;
    const bool isolates = behaviour == Behaviour::kIsolated || (by_hand && behaviour == Behaviour::kRemoved && invert);
    if (isolates) {
      put_splitter(std::move(splitter),
                   by_hand ? by_splitter(make_pattern_splitter(regex, RegexDialect::kOniguruma)) : by_pattern(regex));
    } else {
      put_split(by_pattern(regex), behaviour, invert);
    }
  }

  void add_metaspace(const Json& json) {
    const std::string scheme = json.value("prepend_scheme", json.value("add_prefix_space", true) ? "always" : "never");
    result_.adds_prefix = result_.adds_prefix || scheme != "never";
    put(std::make_unique<Metaspace>(json.value("replacement", std::string(kMeta)), scheme, json.value("split", true)));
  }

  PreTokenization result_;
  bool is_one_splitter_ = false;
};

struct ByteAlphabetTable {
  std::array<std::string, 256> characters;
  std::unordered_map<std::uint32_t, char> bytes;
  ByteAlphabetTable() {
    std::uint32_t next = 256;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool is_itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const std::uint32_t code_point = is_itself ? byte : next++;
      append_utf8(characters[byte], code_point);
      bytes[code_point] = static_cast<char>(byte);
    }
  }
};

const ByteAlphabetTable& byte_alphabet() {
  static const ByteAlphabetTable table;
  return table;
}

}  // namespace

PreTokenization read_pre_tokenizers(const Json& json) { return Reader().read(json); }

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += byte_alphabet().characters[static_cast<unsigned char>(c)];
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string bytes;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const Decoded c = decode_utf8(p, end);
    const auto found = byte_alphabet().bytes.find(c.code_point);
    if (found == byte_alphabet().bytes.end()) return std::nullopt;
    bytes += found->second;
    p += c.n_bytes;
  }
  return bytes;
}

}  // namespace lmbits
