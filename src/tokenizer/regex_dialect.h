// Regular expressions of tokenizer files in PCRE2's spelling: what reads alike and means something else is spelt out.
#pragma once
#include <string>

namespace lmbits {

enum class RegexDialect {
  kOniguruma,  // Ruby's syntax, as the tokenizers library compiles what a tokenizer.json holds
  kRust,       // of the crates regex and fancy-regex, as tiktoken compiles its patterns
};

// For PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, with PCRE2_MULTILINE for Oniguruma, whose ^ and $ are those of a line,
// and PCRE2_DOLLAR_ENDONLY for Rust. Spelt out are \s, \w, \b and their negations (their sets are not PCRE2's), \h, \v, \u,
// {,n}, classes within classes and their intersection, Oniguruma's [:names:] and its (?m). Throws Error(kUnsupported), naming
// the part, for what would mean something else and cannot be spelt out.
std::string to_pcre2(const std::string& pattern, RegexDialect dialect);

}  // namespace lmbits
