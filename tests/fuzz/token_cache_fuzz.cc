// A file of cached tokens: any bytes are read without harm, also where their checksums are right, and what comes out is
// what a tokenizer could have said.
#include <numeric>

#include "src/tokenizer/token_cache.h"
#include "tests/fuzz/fuzz.h"

using namespace lmbits;

namespace {

constexpr std::int64_t kVocab = 300;
constexpr Hash128 kKey{1, 2};

void check_text(const CachedText& text, std::size_t n_text_bytes) {
  fuzz::require(text.tokens.ids.size() == text.tokens.n_bytes.size());
  for (const std::int32_t id : text.tokens.ids) fuzz::require(id >= 0 && id < kVocab);
  const auto total = std::accumulate(text.tokens.n_bytes.begin(), text.tokens.n_bytes.end(), std::uint64_t{0});
  if (!text.failed && text.tokens.lossless) fuzz::require(total == n_text_bytes);
  const auto again = unpack_text(pack_text(text, kVocab), kVocab, n_text_bytes);
  fuzz::require(again && again->equals(text));
}

void check_file(std::string_view bytes) {
  const TokenFile file(bytes, kKey);
  for (std::size_t i = 0; i < file.size(); ++i) {
    const TokenFile::Entry entry = file.entry(i);
    file.find(entry.text);
    const auto payload = file.payload(entry);
    if (!payload) continue;
    if (const auto text = unpack_text(*payload, kVocab, entry.n_text_bytes)) check_text(*text, entry.n_text_bytes);
  }
}

void write_number(std::string& bytes, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

// The same bytes with magic, key and the checksums of header and index put right, so that fuzzing gets behind them.
std::string mended(std::string_view data) {
  constexpr std::size_t kHeader = 56, kEntry = 48;
  std::string bytes(data);
  if (bytes.size() < kHeader) return bytes;
  bytes.replace(0, 8, "LMBTOK01");
  write_number(bytes, 8, kKey.high);
  write_number(bytes, 16, kKey.low);
  const std::size_t n = (bytes.size() - kHeader) / kEntry / 2, index = bytes.size() - n * kEntry;
  write_number(bytes, 24, n);
  write_number(bytes, 32, index);
  for (std::size_t i = 0; i < n; ++i) {  // payloads that lie inside, and their sums
    const std::size_t entry = index + i * kEntry;
    const std::size_t room = index - kHeader, begin = static_cast<unsigned char>(bytes[entry + 24]) % (room + 1);
    const std::size_t length = static_cast<unsigned char>(bytes[entry + 32]) % (room - begin + 1);
    write_number(bytes, entry + 24, kHeader + begin);
    write_number(bytes, entry + 32, length);
    write_number(bytes, entry + 40, hash64(std::string_view(bytes).substr(kHeader + begin, length)));
  }
  write_number(bytes, 40, hash64(std::string_view(bytes).substr(index)));
  write_number(bytes, 48, hash64(std::string_view(bytes).substr(0, 48)));
  return bytes;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::bytes_of(data, size);
  check_file(bytes);
  const std::string sound = mended(bytes);
  check_file(sound);
  if (const auto text = unpack_text(bytes, kVocab, size)) check_text(*text, size);
  return 0;
}
