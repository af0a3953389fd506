// libFuzzer: a compressed file of any bytes gives an error or a container, and whatever its payloads hold decodes to
// something or gives an error. The whole way of decompress, but for files and threads, with a model that is made once.
//
// Checksums are put right first, or no mutation would come past them; and the input is a payload of its own, too.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "src/coding/container.h"
#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/model/weightless.h"
#include "src/scoring/block_coder.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr std::int64_t kMostBytes = 256;  // of a block: what a header may state is bounded by memory alone

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

lmbits::BlockCoder& coder(bool mix) {
  static const auto model = lmbits::make_bigram_model("", "It was the best of times, it was the worst of times.");
  const auto make = [](bool mixed) {
    lmbits::BlockCoderOptions options;
    options.convention.window = 64;
    options.convention.stride = 32;
    options.convention.lead_id = model->info().bos_id;
    options.convention.prepend_lead = true;
    options.mix = mixed;
    return std::make_unique<lmbits::BlockCoder>(*model, options);
  };
  static const auto plain = make(false), mixing = make(true);
  return mix ? *mixing : *plain;
}

// What any payload decodes to decodes again, once it is coded.
void decode(bool mix, std::string_view payload, std::int64_t n_bytes) {
  if (n_bytes > kMostBytes) return;
  try {
    const std::string text = coder(mix).decode({payload}, {n_bytes}, "fuzz").at(0);
    lmbits::CodingCost cost;
    const std::string again = coder(mix).encode({text}, cost).at(0);
    lmbits::fuzz::require(coder(mix).decode({again}, {std::ssize(text)}, "fuzz").at(0) == text);
  } catch (const lmbits::Error& e) {
    lmbits::fuzz::require(e.kind() == lmbits::ErrorKind::kData);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0) decode((data[0] & 1) != 0, std::string_view(bytes).substr(1), data[0] / 2);
  for (const bool right : {false, true}) {
    if (right) put_checksum_right(bytes);
    try {
      const lmbits::Container container = lmbits::read_container(bytes, "fuzz");
      lmbits::fuzz::require(lmbits::write_container(container).size() <= 2 * size + 1000);
      for (std::size_t i = 0; i < container.blocks.size(); ++i)
        decode(false, container.blocks[i].payload, container_block_bytes(container, static_cast<std::int64_t>(i)));
    } catch (const lmbits::Error&) {
    }
  }
  return 0;
}
