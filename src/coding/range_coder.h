// An arithmetic coder (Rissanen 1976; in the form of Martin 1979, "range encoding"): symbols of known share in, bytes out.
//
// A symbol is an interval [low, low + width) of [0, total), 0 < width, total <= kMaxTotal. The coder keeps a range of 56
// bits or more and cuts it exactly in proportion,
//
//   range [floor(R low / total), floor(R (low + width) / total)),
//
// with 128-bit products: nothing of the range is given away, totals need be no power of two, and a symbol of share q costs
// -log2 q bits, plus at most 2^-56 total / width for rounding. An addition that runs over 64 bits is carried into the
// bytes that are written already. The whole stream costs at most 8 bits more than its symbols (finish).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lmbits {

inline constexpr std::uint64_t kMaxTotal = std::uint64_t{1} << 56;

class RangeEncoder {
 public:
  // 0 < width, low + width <= total <= kMaxTotal.
  void encode(std::uint64_t low, std::uint64_t width, std::uint64_t total);

  // The shortest bytes that decode to what was encoded; zero bytes at the end are left out, as the decoder takes what is
  // missing for zero. The encoder is new afterwards.
  std::string finish();

 private:
  void carry();
  void make_room();

  std::string bytes_;  // of which the first n_bytes_ are written
  std::size_t n_bytes_ = 0;
  std::uint64_t low_ = 0;
  std::uint64_t range_ = ~std::uint64_t{0};
};

class RangeDecoder {
 public:
  // `bytes` must outlive the decoder. Any bytes decode to something: what they are worth is for a checksum to say.
  explicit RangeDecoder(std::string_view bytes);

  // Where in [0, total) the next symbol lies: the symbol is the one with low <= target(total) < low + width.
  std::uint64_t target(std::uint64_t total) const;

  // Goes past the symbol that target() named, with its interval.
  void consume(std::uint64_t low, std::uint64_t width, std::uint64_t total);

 private:
  std::uint64_t next_bytes() const;  // eight, the first one highest; zeros beyond the end

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::uint64_t offset_ = 0;  // of the coded number from the range's beginning; < range_
  std::uint64_t range_ = ~std::uint64_t{0};
};

}  // namespace lmbits
