// libFuzzer: a compressed file of any bytes gives an error or a container, and whatever its payloads hold decodes to
// something or gives an error.
//
// Checksums are put right first, or no mutation would come past them.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/coding/container.h"
#include "src/coding/context_mixing.h"
#include "src/coding/range_coder.h"
#include "src/core/error.h"
#include "src/core/hash.h"
#include "tests/fuzz/fuzz.h"

namespace {

std::uint64_t number_at(const std::string& bytes, std::size_t at, std::size_t n_bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = n_bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void put_checksum_right(std::string& bytes) {
  if (bytes.size() < 28) return;
  const std::uint64_t n_header = number_at(bytes, 12, 4), n_table = number_at(bytes, 16, 8);
  if (n_header > bytes.size() || n_table > bytes.size() || 28 + n_header + n_table > bytes.size()) return;
  const std::size_t front = 24 + n_header + n_table;
  const std::uint32_t crc = lmbits::crc32c(std::string_view(bytes).substr(0, front));
  for (std::size_t i = 0; i < 4; ++i) bytes[front + i] = static_cast<char>(crc >> (8 * i));
}

void take_symbols(lmbits::RangeDecoder& decoder) {
  for (std::uint64_t total : {std::uint64_t{1}, std::uint64_t{256}, (std::uint64_t{1} << 40) + 3, lmbits::kMaxTotal}) {
    const std::uint64_t at = decoder.target(total);
    decoder.consume(at, 1, total);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  lmbits::ContextMixer model(8);
  lmbits::RangeDecoder decoder(bytes);
  take_symbols(decoder);
  lmbits::decode_bytes(model, std::min<std::size_t>(bytes.size(), 64), decoder);
  for (const bool right : {false, true}) {
    if (right) put_checksum_right(bytes);
    try {
      const lmbits::Container container = lmbits::read_container(bytes, "fuzz");
      for (const lmbits::ContainerBlock& block : container.blocks) {
        lmbits::RangeDecoder payload(block.payload);
        take_symbols(payload);
      }
      lmbits::fuzz::require(lmbits::write_container(container).size() <= 2 * size + 1000);
    } catch (const lmbits::Error&) {
    }
  }
  return 0;
}
