#include "src/conventions/headline.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"
#include "src/core/units.h"

namespace lmbits {
namespace {

std::optional<double> per(double sum, std::int64_t n) {
  if (n <= 0) return std::nullopt;
  return sum / static_cast<double>(n);
}

// Bytes of the white-space character that starts at `at`, 0 if none does: the code points for which Python's
// str.isspace holds, which are those of \s. In UTF-8 a lead byte begins a character wherever it stands, so this needs
// no decoder, and cannot go wrong on invalid text.
std::size_t white_space_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  const unsigned b0 = byte(0);
  const unsigned b1 = byte(1);
  const unsigned b2 = byte(2);
  if ((b0 >= 0x09 && b0 <= 0x0D) || (b0 >= 0x1C && b0 <= 0x20)) return 1;
  if (b0 == 0xC2 && (b1 == 0x85 || b1 == 0xA0)) return 2;  // U+0085, U+00A0
  if (b0 == 0xE1 && b1 == 0x9A && b2 == 0x80) return 3;    // U+1680
  if (b0 == 0xE2 && b1 == 0x80 && ((b2 >= 0x80 && b2 <= 0x8A) || b2 == 0xA8 || b2 == 0xA9 || b2 == 0xAF)) return 3;
  if (b0 == 0xE2 && b1 == 0x81 && b2 == 0x9F) return 3;  // U+205F; above: U+2000..200A, 2028, 2029, 202F
  if (b0 == 0xE3 && b1 == 0x80 && b2 == 0x80) return 3;  // U+3000
  return 0;
}

}  // namespace

std::optional<double> bits_per_byte(double bits, std::int64_t n_bytes) { return per(bits, n_bytes); }

std::optional<double> bits_per_char(double bits, std::int64_t n_chars) { return per(bits, n_chars); }

std::optional<double> perplexity(double bits, std::int64_t n) {
  const std::optional<double> mean_bits = per(bits, n);
  if (!mean_bits) return std::nullopt;
  return std::exp2(*mean_bits);
}

std::optional<double> perplexity_standard_error(double bits, double bits_squared, std::int64_t n_tokens) {
  if (n_tokens < 2) return std::nullopt;
  const double mean_bits = bits / static_cast<double>(n_tokens);
  // Rounding may leave the variance of equal numbers a little below 0.
  const double variance = std::max(0.0, bits_squared / static_cast<double>(n_tokens) - mean_bits * mean_bits);
  return std::exp2(mean_bits) * kNatsPerBit * std::sqrt(variance / static_cast<double>(n_tokens - 1));
}

std::optional<double> compression_rate_percent(double bits, std::int64_t n_bytes) {
  return per(100.0 * bits / 8.0, n_bytes);
}

std::optional<double> adjusted_rate_percent(double bits, std::int64_t n_bytes, std::int64_t n_parameters) {
  return per(100.0 * (bits / 8.0 + 2.0 * static_cast<double>(n_parameters)), n_bytes);
}

std::optional<double> mean_over_categories(std::span<const double> values) {
  return per(std::accumulate(values.begin(), values.end(), 0.0), static_cast<std::int64_t>(values.size()));
}

std::int64_t count_words_like_python_split(std::string_view utf8) {
  std::int64_t n_words = 1;
  bool in_space = false;
  for (std::size_t at = 0; at < utf8.size();) {
    const std::size_t length = white_space_length(utf8, at);
    if (length > 0 && !in_space) ++n_words;
    in_space = length > 0;
    at += std::max<std::size_t>(1, length);
  }
  return n_words;
}

std::size_t length_like_python_rstrip(std::string_view utf8) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < utf8.size();) {
    const std::size_t length = white_space_length(utf8, at);
    at += std::max<std::size_t>(1, length);
    if (length == 0) end = at;
  }
  return end;
}

std::vector<HeadlineNumber> headline(const Convention& convention, const HeadlineSums& sums) {
  const std::string& name = convention.name;
  if (name == "lm-eval") {
    return {{"bits_per_byte", bits_per_byte(sums.bits, sums.n_bytes)},
            {"byte_perplexity", perplexity(sums.bits, sums.n_bytes)},
            {"word_perplexity", perplexity(sums.bits, sums.n_words)}};
  }
  if (name == "hkust") return {{"bits_per_char", bits_per_char(sums.bits, sums.n_chars)}};
  if (name == "llama-ppl") {
    return {{"perplexity", perplexity(sums.bits, sums.n_scored)},
            {"perplexity_standard_error", perplexity_standard_error(sums.bits, sums.bits_squared, sums.n_scored)}};
  }
  if (name == "gptq") return {{"perplexity", perplexity(sums.bits, sums.n_scored)}};
  if (name == "uncheatable") {
    return {{"bits_per_byte", bits_per_byte(sums.bits, sums.n_bytes)},
            {"compression_rate_percent", compression_rate_percent(sums.bits, sums.n_bytes)}};
  }
  if (name == "lmic") {
    const auto adjusted =
        sums.n_parameters ? adjusted_rate_percent(sums.bits, sums.n_bytes, *sums.n_parameters) : std::nullopt;
    return {{"compression_rate_percent", compression_rate_percent(sums.bits, sums.n_bytes)},
            {"adjusted_rate_percent", adjusted}};
  }
  LMBITS_CHECK(name == "default");
  return {{"bits_per_byte", bits_per_byte(sums.bits, sums.n_bytes)}};
}

}  // namespace lmbits
