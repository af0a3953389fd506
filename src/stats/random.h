// Random numbers that are the same on every platform and standard library.
#pragma once
#include <cstdint>

namespace lmbits {

// SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195), read as a counter: number k = 1, 2, ... of a stream
// is mix(start + k * golden ratio), with start = mix(mix(seed) + stream). So streams can be drawn in any order and on
// any thread. Not for cryptography.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(mix(seed) + stream)) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    return mix(state_);
  }

  // Uniform on {0, ..., n - 1}, n >= 1, without bias: the high half of a 32 x 32 bit product, redrawn where the low half
  // is in the incomplete last interval (Lemire 2019, doi:10.1145/3230636).
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = (next() >> 32) * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint32_t incomplete = (0u - n) % n;  // 2^32 mod n
      while (static_cast<std::uint32_t>(product) < incomplete) product = (next() >> 32) * n;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // Uniform on [0, 1), in steps of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  std::uint64_t state_;
};

}  // namespace lmbits
