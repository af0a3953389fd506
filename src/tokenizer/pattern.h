// Regular expressions of tokenizer files through PCRE2, over any bytes.
//
// PCRE2 10.42 knows Unicode 14, tokenizers and tiktoken know Unicode 16: on characters of newer scripts, and on these
// alone, words may be cut elsewhere. What their dialects mean otherwise than PCRE2's is spelt out (regex_dialect.h).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/tokenizer/regex_dialect.h"
#include "src/tokenizer/splitter.h"

namespace lmbits {

struct Match {
  std::size_t begin, end;
};

// PCRE2's version and its Unicode's.
std::string pattern_library();

// Thread-safe.
class Pattern {
 public:
  // Throws Error(kModel) where the pattern is none, Error(kUnsupported) for what cannot be spelt for PCRE2.
  Pattern(const std::string& pattern, RegexDialect dialect);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  // The first match from `at` on; nullopt where there is none. One that is empty is taken at `at` only if `may_be_empty_at`:
  // not where the match before ended, and not where a word begins anyway.
  std::optional<Match> find(std::string_view text, std::size_t at, bool may_be_empty_at = false) const;

 private:
  std::optional<Match> search(std::string_view text, std::size_t at) const;
  struct Code;
  std::unique_ptr<Code> code_;
};

// Words are matches of the pattern, and what lies between them. An empty match ends a word.
class PatternSplitter final : public Splitter {
 public:
  PatternSplitter(const std::string& pattern, RegexDialect dialect) : pattern_(pattern, dialect) {}
  std::size_t split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const override;

 private:
  Pattern pattern_;
};

}  // namespace lmbits
