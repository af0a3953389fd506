// Regular expressions of tokenizer files through PCRE2, over any bytes.
//
// PCRE2 10.42 knows Unicode 14, tokenizers and tiktoken know Unicode 16: on characters of newer scripts, and on these
// alone, words may be cut elsewhere. \s is spelt out, since PCRE2's own contains U+180E, which theirs does not.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/tokenizer/splitter.h"

namespace lmbits {

struct Match {
  std::size_t begin, end;
};

// Thread-safe.
class Pattern {
 public:
  // Throws Error(kModel) where the pattern is none, naming the place.
  explicit Pattern(const std::string& pattern);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  // The first match at or behind `at`, and not empty; nullopt where there is none.
  std::optional<Match> find(std::string_view text, std::size_t at) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

// Words are matches of the pattern, and what lies between them.
class PatternSplitter final : public Splitter {
 public:
  explicit PatternSplitter(const std::string& pattern) : pattern_(pattern) {}
  std::size_t split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const override;

 private:
  Pattern pattern_;
};

}  // namespace lmbits
