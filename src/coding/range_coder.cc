#include "src/coding/range_coder.h"

#include <utility>

#include "src/core/error.h"

namespace lmbits {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kSmallestRange = std::uint64_t{1} << 56;

// floor(range part / total) for part <= total.
std::uint64_t share(std::uint64_t range, std::uint64_t part, std::uint64_t total) {
  return static_cast<std::uint64_t>(Wide{range} * part / total);
}

}  // namespace

void RangeEncoder::carry() {
  auto byte = bytes_.rbegin();
  while (byte != bytes_.rend() && static_cast<unsigned char>(*byte) == 0xff) *byte++ = '\0';
  LMBITS_CHECK(byte != bytes_.rend());
  *byte = static_cast<char>(static_cast<unsigned char>(*byte) + 1);
}

void RangeEncoder::encode(std::uint64_t low, std::uint64_t width, std::uint64_t total) {
  LMBITS_CHECK(width > 0 && total <= kMaxTotal && low < total && width <= total - low);
  const std::uint64_t begin = share(range_, low, total);
  range_ = share(range_, low + width, total) - begin;
  low_ += begin;
  if (low_ < begin) carry();
  while (range_ < kSmallestRange) {
    bytes_.push_back(static_cast<char>(low_ >> 56));
    low_ <<= 8;
    range_ <<= 8;
  }
}

// The range holds a multiple of 2^56 or begins with one, so one byte more says it.
std::string RangeEncoder::finish() {
  for (int n_zeros = 8; n_zeros >= 0; --n_zeros) {
    const Wide mask = (Wide{1} << (8 * n_zeros)) - 1;
    const Wide value = (Wide{low_} + mask) & ~mask;
    if (value - low_ >= range_) continue;
    if (value >> 64 != 0) carry();
    for (int i = 0; i < 8 - n_zeros; ++i)
      bytes_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (56 - 8 * i)));
    break;
  }
  while (!bytes_.empty() && bytes_.back() == '\0') bytes_.pop_back();
  low_ = 0;
  range_ = ~std::uint64_t{0};
  return std::exchange(bytes_, {});
}

RangeDecoder::RangeDecoder(std::string_view bytes) : bytes_(bytes) {
  for (int i = 0; i < 8; ++i) offset_ = offset_ << 8 | next_byte();
  if (offset_ == range_) --offset_;  // no encoder writes this; the checksum will say so
}

std::uint8_t RangeDecoder::next_byte() {
  return at_ < bytes_.size() ? static_cast<std::uint8_t>(bytes_[at_++]) : std::uint8_t{0};
}

std::uint64_t RangeDecoder::target(std::uint64_t total) const {
  return static_cast<std::uint64_t>(((Wide{offset_} + 1) * total - 1) / range_);
}

void RangeDecoder::consume(std::uint64_t low, std::uint64_t width, std::uint64_t total) {
  const std::uint64_t begin = share(range_, low, total);
  range_ = share(range_, low + width, total) - begin;
  offset_ -= begin;
  LMBITS_CHECK(offset_ < range_);
  while (range_ < kSmallestRange) {
    offset_ = offset_ << 8 | next_byte();
    range_ <<= 8;
  }
}

}  // namespace lmbits
