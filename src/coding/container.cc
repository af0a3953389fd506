#include "src/coding/container.h"

#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {
namespace {

// A byte above 127 (a transfer of 7 bits), CR LF, Ctrl-Z and LF (a transfer as text) notice what such a transfer does.
constexpr std::string_view kMagic("\x8cLMB\r\n\x1a\n", 8);
constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kPrefixBytes = 8 + 4 + 4 + 8;  // magic, version, bytes of the header, bytes of the table

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kData, where + ": " + what, "copy the file again, or compress the original again");
}

void append_little_endian(std::string& bytes, std::uint64_t value, int n_bytes) {
  for (int i = 0; i < n_bytes; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::uint32_t take_crc(std::string_view& bytes, const std::string& where) {
  if (bytes.size() < 4) refuse(where, "its table of blocks ends early");
  const auto crc = static_cast<std::uint32_t>(little_endian(bytes.substr(0, 4)));
  bytes.remove_prefix(4);
  return crc;
}

// The header's own keys; the rest of it is `info`.
void read_header(const Json& header, Container& container, const std::string& where) {
  try {
    container.n_bytes = header.at("n_bytes").get<std::int64_t>();
    container.block_bytes = header.at("block_bytes").get<std::int64_t>();
    container.fingerprint = header.at("fingerprint").get<std::string>();
    container.info = header.at("info");
  } catch (const Json::exception& e) {
    refuse(where, std::string("its header is not one of lmbits: ") + e.what());
  }
  if (!container.info.is_object()) refuse(where, "its header's info is " + std::string(container.info.type_name()));
  if (container.n_bytes < 0 || container.block_bytes < 0)
    refuse(where, "its header states " + std::to_string(container.n_bytes) + " bytes in blocks of " +
                      std::to_string(container.block_bytes));
}

}  // namespace

std::int64_t n_container_blocks(std::int64_t n_bytes, std::int64_t block_bytes) {
  if (n_bytes == 0) return 0;
  return block_bytes == 0 ? 1 : (n_bytes - 1) / block_bytes + 1;
}

std::int64_t container_block_bytes(const Container& container, std::int64_t i) {
  if (container.block_bytes == 0) return container.n_bytes;
  return std::min(container.block_bytes, container.n_bytes - i * container.block_bytes);
}

std::string write_container(const Container& container) {
  LMBITS_CHECK(std::ssize(container.blocks) == n_container_blocks(container.n_bytes, container.block_bytes));
  const std::string header = Json{
      {"n_bytes", container.n_bytes},
      {"block_bytes", container.block_bytes},
      {"fingerprint", container.fingerprint},
      {"info", container.info}}.dump();
  std::string table;
  for (const ContainerBlock& block : container.blocks) {
    append_varint(table, block.payload.size());
    append_little_endian(table, crc32c(block.payload), 4);
    append_little_endian(table, block.original_crc, 4);
  }
  std::string bytes(kMagic);
  append_little_endian(bytes, kVersion, 4);
  append_little_endian(bytes, header.size(), 4);
  append_little_endian(bytes, table.size(), 8);
  bytes += header;
  bytes += table;
  append_little_endian(bytes, crc32c(bytes), 4);
  for (const ContainerBlock& block : container.blocks) bytes += block.payload;
  return bytes;
}

Container read_container(std::string_view bytes, const std::string& where) {
  if (!bytes.starts_with(kMagic)) {
    const bool cut = kMagic.starts_with(bytes);
    throw Error(ErrorKind::kData, where + (cut ? ": it is cut off" : ": this is no file that lmbits compress wrote"),
                cut ? "copy the file again" : "");
  }
  if (bytes.size() < kPrefixBytes + 4) refuse(where, "it is cut off");
  const std::uint64_t version = little_endian(bytes.substr(8, 4));
  const std::uint64_t n_header = little_endian(bytes.substr(12, 4)), n_table = little_endian(bytes.substr(16, 8));
  const std::size_t room = bytes.size() - kPrefixBytes - 4;
  const bool fits = n_header <= room && n_table <= room - n_header;
  const std::size_t n_front = fits ? kPrefixBytes + n_header + n_table : 0;
  const bool sound = fits && crc32c(bytes.substr(0, n_front)) == little_endian(bytes.substr(n_front, 4));
  // A version that is not known may have its checksum elsewhere; this one with a wrong one is damaged.
  if (version != kVersion) {
    throw Error(ErrorKind::kUnsupported, where + " is of version " + std::to_string(version) + ", this program reads " +
                                             std::to_string(kVersion) + " (or its first bytes are damaged)");
  }
  if (!fits) refuse(where, "it is cut off, or its first bytes are damaged");
  if (!sound) refuse(where, "the checksum of its header does not match: it is damaged");

  Container container;
  const Json header = Json::parse(bytes.substr(kPrefixBytes, n_header), nullptr, /*allow_exceptions=*/false);
  read_header(header, container, where);
  std::string_view table = bytes.substr(kPrefixBytes + n_header, n_table), payloads = bytes.substr(n_front + 4);
  const std::int64_t n_blocks = n_container_blocks(container.n_bytes, container.block_bytes);
  for (std::int64_t i = 0; i < n_blocks; ++i) {
    const std::uint64_t n_payload = take_varint(table, where);
    const std::uint32_t payload_crc = take_crc(table, where), original_crc = take_crc(table, where);
    const std::string block = "block " + std::to_string(i) + " of " + std::to_string(n_blocks);
    if (n_payload > payloads.size()) refuse(where, "it is cut off in " + block);
    container.blocks.push_back({original_crc, std::string(payloads.substr(0, n_payload))});
    payloads.remove_prefix(n_payload);
    if (crc32c(container.blocks.back().payload) != payload_crc)
      refuse(where, "the checksum of " + block + " does not match: it is damaged");
  }
  if (!table.empty()) refuse(where, "its table has more than its " + std::to_string(n_blocks) + " blocks");
  if (!payloads.empty()) refuse(where, std::to_string(payloads.size()) + " bytes follow its last block");
  return container;
}

void append_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
}

std::uint64_t take_varint(std::string_view& bytes, const std::string& where) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  refuse(where, "a number in it ends early or is too large");
}

}  // namespace lmbits
