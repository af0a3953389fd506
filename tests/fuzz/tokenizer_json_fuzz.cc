// The file up to a NUL is a tokenizer.json, what follows is a text for it.
#include "src/tokenizer/make_tokenizer.h"
#include "tests/fuzz/fuzz.h"

using namespace lmbits;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::bytes_of(data, size);
  const std::size_t end = std::min(bytes.find('\0'), bytes.size());
  try {
    const auto tokenizer = read_tokenizer_json(std::string(bytes.substr(0, end)));
    for (const std::string_view text : fuzz::kTexts) fuzz::check(*tokenizer, text);
    if (end < bytes.size()) fuzz::check(*tokenizer, bytes.substr(end + 1));
  } catch (const Error&) {
  }
  return 0;
}
