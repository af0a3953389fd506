// The number that each convention's own program prints, from sums over what was scored. Lower is better in all of them.
//
// Bits are code lengths, -log2 p summed over scored tokens; bytes, code points and words are those of the raw source. A
// number whose denominator is 0 is undefined (nullopt). Formulas: docs/conventions.md.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/conventions/convention.h"

namespace lmbits {

// bits / n_bytes. lm-eval's bits_per_byte; uncheatable's bpb of a category, there written as a ratio of means.
std::optional<double> bits_per_byte(double bits, std::int64_t n_bytes);

// bits / n_chars, code points. hkust's BPC: the characters of dropped tokens stay in the denominator.
std::optional<double> bits_per_char(double bits, std::int64_t n_chars);

// 2^(bits / n): per byte or word (lm-eval), or per scored token (llama-ppl; gptq, whose windows all have as many
// targets, so that its mean of window means is the mean).
std::optional<double> perplexity(double bits, std::int64_t n);

// The standard error of the token perplexity as llama.cpp prints it: PPL * sqrt((E[nll^2] - E[nll]^2) / (n - 1)), nll
// in nats. It takes tokens as independent, which they are not, so it is too small. `bits_squared` is the sum over
// tokens of bits^2. nullopt under two tokens.
std::optional<double> perplexity_standard_error(double bits, double bits_squared, std::int64_t n_tokens);

// Compressed over raw size in percent: 100 * bits / (8 * n_bytes). lmic's rate and uncheatable's compression rate.
std::optional<double> compression_rate_percent(double bits, std::int64_t n_bytes);

// The same with the model counted into the compressed size, 2 bytes a parameter (arXiv:2309.10668).
std::optional<double> adjusted_rate_percent(double bits, std::int64_t n_bytes, std::int64_t n_parameters);

// The uncheatable leaderboard's average: each category counts alike, whatever its size. nullopt for none.
std::optional<double> mean_over_categories(std::span<const double> values);

// len(re.split(r"\s+", text)) of Python 3, for lm-eval's word_perplexity: one more than the runs of Unicode white
// space, so an empty text has one word and a trailing newline adds one. Bytes that are not UTF-8 are not white space.
std::int64_t count_words_like_python_split(std::string_view utf8);

// Bytes of str.rstrip() of Python 3: without the Unicode white space at the end.
std::size_t length_like_python_rstrip(std::string_view utf8);

struct HeadlineSums {
  double bits = 0.0;
  double bits_squared = 0.0;  // sum over scored tokens of bits^2; llama-ppl only
  std::int64_t n_scored = 0;
  std::int64_t n_bytes = 0;
  std::int64_t n_chars = 0;
  std::int64_t n_words = 0;                  // sum of count_words_like_python_split over documents; lm-eval only
  std::optional<std::int64_t> n_parameters;  // lmic only
};

struct HeadlineNumber {
  std::string name;
  std::optional<double> value;
};

// The numbers of the convention's own program, under its names where it has any, the first being the one to quote.
std::vector<HeadlineNumber> headline(const Convention& convention, const HeadlineSums& sums);

}  // namespace lmbits
