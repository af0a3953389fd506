// Context mixing over bits: the strongest classical kind of compressor, without a neural network and without training.
//
// Contexts of orders 0 to 6, the current word, and the longest earlier match each predict the next bit; a small linear
// mixer in the logistic domain weighs them, learning as it goes (Mahoney 2005, "Adaptive weighing of context models for
// lossless data compression", TR CS-2005-16), and a last table corrects what the mixer systematically gets wrong. The
// arithmetic is of integers: encoder and decoder agree on any machine.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "src/coding/range_coder.h"

namespace lmbits {

// To be raised when what mix_compress makes of a text changes: sizes are kept by it.
inline constexpr int kContextMixingVersion = 1;

class ContextMixer {
 public:
  // A table of 2^table_bits counters (4 bytes each) for each of the hashed contexts, 4 <= table_bits <= 24.
  explicit ContextMixer(int table_bits = 22);
  ~ContextMixer();
  ContextMixer(ContextMixer&&) noexcept;

  // P(the next bit is 1) * 2^16, in [1, 2^16 - 1].
  std::uint32_t p_one() const;
  // Bits come by byte, the highest first.
  void update(bool bit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Returns the bits that the bytes cost.
double encode_bytes(ContextMixer& model, std::string_view bytes, RangeEncoder& encoder);
std::string decode_bytes(ContextMixer& model, std::size_t n_bytes, RangeDecoder& decoder);

// A whole text as bytes that say where they end, and back: the baseline "cm". The tables' size goes with the text's.
std::string mix_compress(std::string_view text);
std::string mix_decompress(std::string_view bytes);

}  // namespace lmbits
