// The first byte chooses a split pattern; the bytes up to a NUL follow the ranks of all single bytes; the rest is a text.
#include "src/tokenizer/make_tokenizer.h"
#include "src/tokenizer/splitter.h"
#include "tests/fuzz/fuzz.h"

using namespace lmbits;

namespace {

std::string single_bytes() {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string ranks;
  for (std::size_t byte = 0; byte < 256; ++byte)
    ranks += {kDigits[byte >> 2], kDigits[(byte & 3) << 4], '=', '=', ' '}, ranks += std::to_string(byte) + "\n";
  return ranks;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::string all_bytes = single_bytes();
  static const std::vector<std::string> patterns = splitter_names();
  const std::string_view bytes = fuzz::bytes_of(data + 1, size - 1);
  const std::size_t end = std::min(bytes.find('\0'), bytes.size());
  const std::string ranks(bytes.substr(0, end));
  const std::string pattern = data[0] < 0x80 ? patterns[data[0] % patterns.size()] : std::string(R"(\w+|[^\w\s]+|\s+)");
  for (const std::string& file : {ranks, all_bytes + ranks}) {
    try {
      const auto tokenizer = read_tiktoken(file, pattern);
      for (const std::string_view text : fuzz::kTexts) fuzz::check(*tokenizer, text);
      if (end < bytes.size()) fuzz::check(*tokenizer, bytes.substr(end + 1));
    } catch (const Error&) {
    }
  }
  return 0;
}
