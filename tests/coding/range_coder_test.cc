#include "src/coding/range_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace lmbits {
namespace {

struct Symbol {
  std::uint64_t low, width, total;
};

// A natural number of any size, in base 2^32, the lowest digit first: slow and obvious.
class Big {
 public:
  explicit Big(std::uint64_t value = 0) {
    for (; value != 0; value >>= 32) digits_.push_back(static_cast<std::uint32_t>(value));
  }
  Big& add(const Big& b) {
    digits_.resize(std::max(digits_.size(), b.digits_.size()) + 1);
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < digits_.size(); ++i) {
      carry += std::uint64_t{digits_[i]} + (i < b.digits_.size() ? b.digits_[i] : 0);
      digits_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    return trim();
  }
  Big& multiply(std::uint32_t factor) {
    std::uint64_t carry = 0;
    for (std::uint32_t& digit : digits_) {
      carry += std::uint64_t{digit} * factor;
      digit = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    digits_.push_back(static_cast<std::uint32_t>(carry));
    return trim();
  }
  Big times(std::uint64_t factor) const {
    Big low = *this, high = *this;
    low.multiply(static_cast<std::uint32_t>(factor));
    high.multiply(static_cast<std::uint32_t>(factor >> 32)).multiply(1U << 31).multiply(2);
    return low.add(high);
  }
  // floor(*this / divisor), a bit at a time; the quotient must fit 64 bits.
  std::uint64_t divided_by(std::uint64_t divisor) const {
    std::uint64_t quotient = 0;
    for (int bit = 63; bit >= 0; --bit) {
      const std::uint64_t trial = quotient | std::uint64_t{1} << bit;
      if (Big(divisor).times(trial) <= *this) quotient = trial;
    }
    return quotient;
  }
  bool operator<=(const Big& b) const {
    if (digits_.size() != b.digits_.size()) return digits_.size() < b.digits_.size();
    return std::lexicographical_compare(digits_.rbegin(), digits_.rend(), b.digits_.rbegin(), b.digits_.rend()) ||
           digits_ == b.digits_;
  }
  bool operator<(const Big& b) const { return !(b <= *this); }

 private:
  Big& trim() {
    while (!digits_.empty() && digits_.back() == 0) digits_.pop_back();
    return *this;
  }
  std::vector<std::uint32_t> digits_;
};

// The interval of a whole message, exactly: its beginning as one number of 64 + 8 n_shifts bits. No carry is ever needed.
struct Oracle {
  Big low;
  std::uint64_t range = ~std::uint64_t{0};
  int n_shifts = 0;

  void encode(const Symbol& s) {
    const std::uint64_t begin = Big(range).times(s.low).divided_by(s.total);
    const std::uint64_t end = Big(range).times(s.low + s.width).divided_by(s.total);
    low.add(Big(begin));
    range = end - begin;
    for (; range < std::uint64_t{1} << 56; range <<= 8, ++n_shifts) low.multiply(256);
  }
  // Is the fraction that these bytes stand for inside the interval?
  bool holds(const std::string& bytes) const {
    const auto n = static_cast<std::size_t>(n_shifts) + 8;
    if (bytes.size() > n) return false;
    Big value;
    for (std::size_t i = 0; i < n; ++i) {
      value.multiply(256).add(Big(i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0));
    }
    Big end = low;
    end.add(Big(range));
    return low <= value && value < end;
  }
};

std::string encode(const std::vector<Symbol>& symbols) {
  RangeEncoder encoder;
  for (const Symbol& s : symbols) encoder.encode(s.low, s.width, s.total);
  return encoder.finish();
}

double bits_of(const std::vector<Symbol>& symbols) {
  double bits = 0;
  for (const Symbol& s : symbols)
    bits += std::log2(static_cast<double>(s.total)) - std::log2(static_cast<double>(s.width));
  return bits;
}

// Comes back, lies in the exact interval, and is no longer than 8 bits more than the symbols cost.
void expect_exact(const std::vector<Symbol>& symbols, double slack_bits = 8.001) {
  const std::string bytes = encode(symbols);
  RangeDecoder decoder(bytes);
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const Symbol& s = symbols[i];
    const std::uint64_t at = decoder.target(s.total);
    ASSERT_TRUE(s.low <= at && at - s.low < s.width) << "symbol " << i << " of " << symbols.size();
    decoder.consume(s.low, s.width, s.total);
  }
  Oracle oracle;
  for (const Symbol& s : symbols) oracle.encode(s);
  EXPECT_TRUE(oracle.holds(bytes));
  EXPECT_LE(8.0 * static_cast<double>(bytes.size()), bits_of(symbols) + slack_bits);
}

std::vector<Symbol> random_symbols(std::mt19937_64& random, std::uint64_t total_bits, int n) {
  std::vector<Symbol> symbols;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t total = 2 + random() % ((std::uint64_t{1} << total_bits) - 1);
    const std::uint64_t low = random() % total;
    std::uint64_t width = 1 + random() % (total - low);
    if (random() % 4 == 0) width = 1;  // rare symbols, too
    symbols.push_back({low, width, total});
  }
  return symbols;
}

TEST(RangeCoder, EqualsTheExactIntervalAtEveryTotal) {
  std::mt19937_64 random(1);
  for (const std::uint64_t total_bits : {1U, 2U, 8U, 17U, 32U, 41U, 50U, 56U}) {
    for (int i = 0; i < 8; ++i) {
      // A symbol of width 1 in a total near the range's size is cut to whole steps of the range.
      const double slack = total_bits > 50 ? 40 : 8.001;
      expect_exact(random_symbols(random, total_bits, static_cast<int>(random() % 60)), slack);
    }
  }
}

TEST(RangeCoder, NothingCostsNothing) {
  EXPECT_EQ(encode({}), "");
  EXPECT_EQ(encode({{0, 7, 7}}), "");  // q = 1
  expect_exact(std::vector<Symbol>(2000, {0, 1, 1}));
  EXPECT_EQ(encode(std::vector<Symbol>(100000, {0, kMaxTotal, kMaxTotal})), "");
}

TEST(RangeCoder, AlmostCertainSymbolsCostAlmostNothing) {
  const std::uint64_t total = (std::uint64_t{1} << 40) + 2047;
  std::vector<Symbol> symbols(2000, {1000, total - 2047, total});
  expect_exact(symbols);
  EXPECT_LE(encode(symbols).size(), 1U);
}

// 0xff after 0xff waits for what comes: the last symbol decides whether all of them become 0x00.
TEST(RangeCoder, CarriesThroughTheLongestChain) {
  // [0x7f ff ff ..., 0x80 00 00 ...): every byte but the first is 0xff until the last symbol.
  const auto chain = [](std::size_t n, Symbol last) {
    std::vector<Symbol> symbols = {{127, 2, 256}};
    for (std::size_t i = 0; i < n; ++i) symbols.push_back({255, 2, 512});
    symbols.push_back(last);
    return symbols;
  };
  for (const std::size_t n : {1U, 6U, 7U, 8U, 9U, 64U, 200U}) {
    expect_exact(chain(n, {0, 1, 2}));
    expect_exact(chain(n, {1, 1, 2}));
  }
  std::size_t longest = 0;  // the test of the test: such a chain does stand in the output, and is carried through
  for (const Symbol last : {Symbol{0, 1, 2}, Symbol{1, 1, 2}}) {
    const std::string bytes = encode(chain(200, last));
    std::size_t run = 0;
    for (const char byte : bytes) {
      run = byte == '\0' || byte == '\xff' ? run + 1 : 0;
      longest = std::max(longest, run);
    }
  }
  EXPECT_GT(longest, 100U);
}

TEST(RangeCoder, VocabulariesOfAnySizeComeBack) {
  std::mt19937_64 random(2);
  for (const std::uint64_t vocab : {2U, 3U, 256U, 2048U, 50257U, 131072U, 262144U}) {
    std::vector<std::uint64_t> low = {0};
    for (std::uint64_t v = 0; v < vocab; ++v)
      low.push_back(low.back() + 1 + (random() >> (random() % 40 + 24)) % (1U << 30));
    std::vector<std::size_t> ids(300);
    RangeEncoder encoder;
    for (std::size_t& id : ids) {
      id = random() % vocab;
      encoder.encode(low[id], low[id + 1] - low[id], low.back());
    }
    const std::string bytes = encoder.finish();
    RangeDecoder decoder(bytes);
    for (const std::size_t id : ids) {
      const std::uint64_t at = decoder.target(low.back());
      const auto found = static_cast<std::size_t>(std::upper_bound(low.begin(), low.end(), at) - low.begin() - 1);
      ASSERT_EQ(found, id) << vocab;
      decoder.consume(low[found], low[found + 1] - low[found], low.back());
    }
  }
}

TEST(RangeCoder, AnyBytesDecodeToSomething) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(i % 3 == 0 ? 0xff : random());
    RangeDecoder decoder(bytes);
    for (int k = 0; k < 60; ++k) {
      const std::uint64_t total = 1 + random() % kMaxTotal;
      const std::uint64_t at = decoder.target(total);
      ASSERT_LT(at, total);
      const std::uint64_t low = at - std::min(at, random() % 1000);
      decoder.consume(low, at - low + 1 + random() % (total - at), total);
    }
  }
}

TEST(RangeCoder, ASymbolOfNoWidthIsOurOwnMistake) {
  RangeEncoder encoder;
  EXPECT_THROW(encoder.encode(3, 0, 7), std::logic_error);
  EXPECT_THROW(encoder.encode(3, 5, 7), std::logic_error);
  EXPECT_THROW(encoder.encode(0, 1, kMaxTotal + 1), std::logic_error);
}

}  // namespace
}  // namespace lmbits
