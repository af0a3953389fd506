// A GGUF file.
#include "src/tokenizer/make_tokenizer.h"
#include "tests/fuzz/fuzz.h"

using namespace lmbits;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto tokenizer = read_gguf_vocabulary(std::string(fuzz::bytes_of(data, size)));
    for (const std::string_view text : fuzz::kTexts) fuzz::check(*tokenizer, text);
  } catch (const Error&) {
  }
  return 0;
}
