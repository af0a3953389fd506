// What the fuzz targets share. A target is one function, for libFuzzer and for the replay of a corpus alike.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lmbits::fuzz {

inline std::string_view bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void require(bool holds) {
  if (!holds) std::abort();
}

// Where a reader made a tokenizer, whatever the file was: texts do not crash it, and what it says of them is true.
inline void check(const Tokenizer& tokenizer, std::string_view text) {
  try {
    const Tokens tokens = tokenizer.encode(text);
    require(tokens.ids.size() == tokens.n_bytes.size());
    for (const std::int32_t id : tokens.ids) require(id >= 0 && id < tokenizer.vocab_size());
    if (!tokens.lossless) return;
    require(tokenizer.decode(tokens.ids) == text);
    require(std::accumulate(tokens.n_bytes.begin(), tokens.n_bytes.end(), std::int64_t{0}) ==
            static_cast<std::int64_t>(text.size()));
  } catch (const Error&) {  // the one way out that is documented
  }
}

inline constexpr std::string_view kTexts[] = {
    "", "It's the best of times, it was the worst of times.\r\n\r\n  12345 <s></s><|endoftext|>\n\t ",
    " \xE4\xBD\xA0\xE5\xA5\xBD e\xCC\x81 \xC2\xA0\xE3\x80\x80\xF0\x9F\x98\x80 \xE2\x96\x81<0x41>",
    "\xFF\xC3 a\xE2\x96 \xED\xA0\x80"};

}  // namespace lmbits::fuzz
