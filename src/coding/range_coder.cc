#include "src/coding/range_coder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "src/core/error.h"

namespace lmbits {
namespace {

__extension__ typedef unsigned __int128 Wide;

// floor(n / divisor), where that is below 2^64. The compiler would call a function that knows no bound of the quotient.
inline std::uint64_t divide(Wide n, std::uint64_t divisor) {
#ifdef __x86_64__
  std::uint64_t quotient = static_cast<std::uint64_t>(n), remainder = static_cast<std::uint64_t>(n >> 64);
  asm("divq %2" : "+a"(quotient), "+d"(remainder) : "r"(divisor) : "cc");
  return quotient;
#else
  return static_cast<std::uint64_t>(n / divisor);
#endif
}

// floor(range part / total) for part <= total.
inline std::uint64_t share(std::uint64_t range, std::uint64_t part, std::uint64_t total) {
  return divide(Wide{range} * part, total);
}

// Bits of the whole bytes by which a range can be widened, 0 to 56: it then has 57 bits or more.
inline int spare_bits(std::uint64_t range) { return std::countl_zero(range) & 56; }

inline std::uint64_t big_endian(std::uint64_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}

}  // namespace

void RangeEncoder::carry() {
  std::size_t at = n_bytes_;
  while (at > 0 && static_cast<unsigned char>(bytes_[at - 1]) == 0xff) bytes_[--at] = '\0';
  LMBITS_CHECK(at > 0);
  bytes_[at - 1] = static_cast<char>(static_cast<unsigned char>(bytes_[at - 1]) + 1);
}

void RangeEncoder::make_room() { bytes_.resize(std::max<std::size_t>(64, 2 * bytes_.size())); }

// What leaves the range at its upper end is written eight bytes at a time, of which only so many count: a loop over bytes
// would be a branch that nobody can foretell.
void RangeEncoder::encode(std::uint64_t low, std::uint64_t width, std::uint64_t total) {
  LMBITS_CHECK(width > 0 && total <= kMaxTotal && low < total && width <= total - low);
  const std::uint64_t begin = share(range_, low, total);
  range_ = share(range_, low + width, total) - begin;
  low_ += begin;
  if (low_ < begin) carry();
  const int spare = spare_bits(range_);
  if (bytes_.size() - n_bytes_ < sizeof low_) make_room();
  const std::uint64_t written = big_endian(low_);
  std::memcpy(bytes_.data() + n_bytes_, &written, sizeof written);
  n_bytes_ += static_cast<std::size_t>(spare / 8);
  low_ <<= spare;
  range_ <<= spare;
}

// The range holds a multiple of 2^56 or begins with one, so one byte more says it.
std::string RangeEncoder::finish() {
  int n_zeros = 8;
  Wide value = 0;
  for (; n_zeros >= 0; --n_zeros) {
    const Wide mask = (Wide{1} << (8 * n_zeros)) - 1;
    value = (Wide{low_} + mask) & ~mask;
    if (value - low_ < range_) break;
  }
  if (value >> 64 != 0) carry();
  bytes_.resize(n_bytes_);
  for (int i = 0; i < 8 - n_zeros; ++i)
    bytes_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (56 - 8 * i)));
  while (!bytes_.empty() && bytes_.back() == '\0') bytes_.pop_back();
  return std::exchange(*this, RangeEncoder()).bytes_;
}

RangeDecoder::RangeDecoder(std::string_view bytes) : bytes_(bytes), offset_(next_bytes()) {
  at_ = 8;
  if (offset_ == range_) --offset_;  // no encoder writes this; the checksum will say so
}

std::uint64_t RangeDecoder::next_bytes() const {
  std::uint64_t value = 0;
  if (at_ + sizeof value <= bytes_.size())
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
  else if (at_ < bytes_.size())
    std::memcpy(&value, bytes_.data() + at_, bytes_.size() - at_);
  return big_endian(value);
}

std::uint64_t RangeDecoder::target(std::uint64_t total) const {
  return divide((Wide{offset_} + 1) * total - 1, range_);
}

void RangeDecoder::consume(std::uint64_t low, std::uint64_t width, std::uint64_t total) {
  const std::uint64_t begin = share(range_, low, total);
  range_ = share(range_, low + width, total) - begin;
  offset_ -= begin;
  LMBITS_CHECK(offset_ < range_);
  const int spare = spare_bits(range_);
  offset_ = offset_ << spare | next_bytes() >> 8 >> (56 - spare);
  range_ <<= spare;
  at_ += static_cast<std::size_t>(spare / 8);
}

}  // namespace lmbits
