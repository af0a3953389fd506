// Where a text is cut into the words that a BPE merges within: the published patterns by hand, any other through PCRE2.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/regex_dialect.h"

namespace lmbits {

// Every byte of a text lies in exactly one word. Invalid bytes are characters that are neither letter, number nor space.
// Thread-safe.
class Splitter {
 public:
  virtual ~Splitter() = default;
  // Lengths of the next words from `at` on, where one begins: at least one, at most as many as `lengths` holds (2 or
  // more); returns how many. Room for 256 is best.
  virtual std::size_t split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const = 0;
};

// Names of the patterns written by hand: gpt2 (also r50k, p50k), cl100k, llama3, qwen2 (also qwen), o200k.
std::vector<std::string> splitter_names();

// The regular expression that it stands for. Throws std::logic_error for a name that is none.
std::string splitter_pattern(std::string_view name);

// By name; nullptr where there is none of that name.
std::unique_ptr<Splitter> make_named_splitter(std::string_view name);

// The hand-written splitter of a published regular expression (all its spellings known here), else one through PCRE2.
// Throws Error(kModel) where PCRE2 does not take the pattern, Error(kUnsupported) where the dialect cannot be spelt for it.
std::unique_ptr<Splitter> make_pattern_splitter(const std::string& pattern, RegexDialect dialect);

}  // namespace lmbits
