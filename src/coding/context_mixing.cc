#include "src/coding/context_mixing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <new>
#include <vector>

#include "src/coding/container.h"
#include "src/core/error.h"

namespace lmbits {
namespace {

// Probabilities are of 16 bits. The logistic domain is ln(p / (1 - p)) * kLogisticUnit, within +-2047.
constexpr int kOne = 1 << 16;
constexpr int kMaxLogistic = 2047;
constexpr double kLogisticUnit = 2048.0 / 12.0;

int clamp_logistic(std::int64_t x) {
  return static_cast<int>(std::clamp<std::int64_t>(x, -kMaxLogistic, kMaxLogistic));
}

struct Tables {
  std::array<std::int32_t, 4096> squash;      // by x + 2048: the probability, 1 to 2^16 - 1
  std::array<std::int16_t, 4096> stretch;     // by the probability's upper 12 bits: x
  std::array<std::int32_t, 1024> reciprocal;  // 2^16 / (n + 1.5)

  Tables() {
    for (int i = 0; i < 4096; ++i) {
      const double p = kOne / (1.0 + std::exp(-(i - 2048) / kLogisticUnit));
      squash[static_cast<std::size_t>(i)] = std::clamp(static_cast<int>(std::lround(p)), 1, kOne - 1);
      const double q = (i + 0.5) / 4096.0;
      stretch[static_cast<std::size_t>(i)] =
          static_cast<std::int16_t>(clamp_logistic(std::lround(std::log(q / (1.0 - q)) * kLogisticUnit)));
    }
    for (int n = 0; n < 1024; ++n)
      reciprocal[static_cast<std::size_t>(n)] = static_cast<std::int32_t>(kOne / (n + 1.5));
  }
};

const Tables& tables() {
  static const Tables all;
  return all;
}

int squash(int x) { return tables().squash[static_cast<std::size_t>(x + 2048)]; }
int stretch(int p) { return tables().stretch[static_cast<std::size_t>(p >> 4)]; }

// 22 bits of probability, 10 of how many bits it has seen (up to a limit: what is old fades).
struct Counter {
  std::uint32_t value = 1U << 31;

  int p() const { return static_cast<int>(value >> 16); }
  int n() const { return static_cast<int>(value & 1023U); }
  void update(bool bit, int limit) {
    const auto probability = static_cast<std::int64_t>(value >> 10);
    const std::int64_t target = bit ? (1 << 22) - 1 : 0;
    const std::int64_t step = (target - probability) * tables().reciprocal[static_cast<std::size_t>(n())] / kOne;
    const std::uint32_t count = static_cast<std::uint32_t>(std::min(n() + 1, limit));
    value = static_cast<std::uint32_t>(std::clamp<std::int64_t>(probability + step, 0, (1 << 22) - 1)) << 10 | count;
  }
};

// Counters of a context for the bits of half a byte: 15 of them, and a tag that tells contexts of one hash apart.
struct NibbleSlot {
  std::uint32_t tag = 0;
  std::array<Counter, 15> counters;
};

constexpr int kHashed = 7;  // orders 1 to 6 but 5, a sparse one, the word
constexpr int kInputs = 2 * (kHashed + 1) + 2 + 1;
constexpr int kCounterLimit = 255;
constexpr int kMinMatch = 6;

std::uint32_t hash(std::uint32_t a, std::uint32_t b) {
  std::uint64_t h = (std::uint64_t{a} << 32 | b) * 0x9E3779B97F4A7C15U;
  h ^= h >> 29;
  return static_cast<std::uint32_t>(h * 0xBF58476D1CE4E5B9U >> 32);
}

// Weighs logistic predictions; one set of weights for each value of a small context.
class Mixer {
 public:
  explicit Mixer(std::size_t n_sets) : weights_(n_sets * kInputs, (1 << 16) * 3 / 10) {}

  int mix(const std::array<int, kInputs>& inputs, std::size_t set) {
    set_ = weights_.data() + set * kInputs;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < kInputs; ++i) sum += std::int64_t{set_[i]} * inputs[i];
    output_ = clamp_logistic(sum / kOne);
    return output_;
  }
  // Down the gradient of the coding cost: w += rate * input * (bit - p).
  void update(const std::array<int, kInputs>& inputs, bool bit) {
    const int error = (bit ? kOne - 1 : 0) - squash(output_);
    for (std::size_t i = 0; i < kInputs; ++i)
      set_[i] += static_cast<std::int32_t>(std::int64_t{inputs[i]} * error / 8192);
  }

 private:
  std::vector<std::int32_t> weights_;
  std::int32_t* set_ = nullptr;
  int output_ = 0;
};

// Maps a prediction, in a context, to what came of predictions like it: interpolated between 33 points. Kept is how far a
// point has moved from where it begins, in memory that the system gives as zeros: what a short text does not touch, of
// 2^16 contexts nearly all, costs nothing.
class Correction {
 public:
  explicit Correction(std::size_t n_contexts)
      : moved_(static_cast<int*>(std::calloc(n_contexts * kPoints, sizeof(int))), &std::free) {
    if (!moved_) throw std::bad_alloc();
    for (std::size_t i = 0; i < kPoints; ++i)
      first_[i] = squash(std::clamp(static_cast<int>(i) * 128 - 2048, -kMaxLogistic, kMaxLogistic)) * 16;
  }
  int refine(int x, std::size_t context) {
    const int at = x + 2048, weight = at & 127;
    const auto point = static_cast<std::size_t>(at >> 7);
    const std::size_t index = context * kPoints + point;
    const int left = first_[point] + moved_[index], right = first_[point + 1] + moved_[index + 1];
    const bool is_right = weight >= 64;
    nearest_ = is_right ? index + 1 : index;
    nearest_value_ = is_right ? right : left;
    return (left * (128 - weight) + right * weight) >> 11;
  }
  void update(bool bit) {
    const int target = bit ? kOne * 16 - 1 : 0;
    moved_[nearest_] += (target - nearest_value_) / 64;
  }

 private:
  static constexpr std::size_t kPoints = 33;
  std::array<int, kPoints> first_{};  // probability * 16
  std::unique_ptr<int[], void (*)(void*)> moved_;
  std::size_t nearest_ = 0;
  int nearest_value_ = 0;
};

}  // namespace

struct ContextMixer::State {
  explicit State(int table_bits)
      : slot_mask((1U << (table_bits - 4)) - 1),
        order0(256),
        slots(static_cast<std::size_t>(kHashed) << (table_bits - 4)),
        match_positions(std::size_t{1} << std::min(table_bits, 20), 0),
        match_counters(64 * 2),
        by_partial(256),
        by_match(64 * 4),
        first_correction(256),
        second_correction(1 << 16) {
    find_slots();
    predict();
  }

  // At the start of a byte and in its middle: the slots of all contexts for the four bits to come.
  void find_slots() {
    const std::uint32_t half = bit_count == 0 ? 0 : partial;  // 0, or 1xxxx
    for (std::uint32_t i = 0; i < kHashed; ++i) {
      const std::uint32_t h = hash(contexts[i] + i * 0x3C6EF372U, half + 0x51ED270BU * i);
      NibbleSlot& slot = slots[std::size_t{i} * (slot_mask + 1) + (h & slot_mask)];
      const std::uint32_t tag = h >> 8 | 1;
      if (slot.tag != tag) slot = {tag, {}};
      current[i] = &slot;
    }
  }

  void predict() {
    std::size_t n = 0;
    const auto add = [&](const Counter& counter) {
      const int x = stretch(counter.p());
      inputs[n++] = counter.n() == 0 ? 0 : x;
      // How far it is from even, more so where it has seen much: certain contexts shall not be averaged away.
      inputs[n++] = (counter.p() - kOne / 2) * std::min(counter.n(), 30) / 1024;
    };
    add(order0[partial]);
    const std::size_t node = nibble_node();
    for (std::size_t i = 0; i < kHashed; ++i) add(current[i]->counters[node]);
    inputs[n] = inputs[n + 1] = 0;
    if (match_length > 0) {
      const std::size_t bucket = static_cast<std::size_t>(std::min(match_length, 63));
      const int x = stretch(match_counters[bucket * 2].p());  // P(the match goes on)
      const bool expected = expected_bit();
      inputs[n] = expected ? x : -x;
      inputs[n + 1] = (expected ? 1 : -1) * std::min(match_length, 32) * 16;
    }
    n += 2;
    inputs[n++] = 256;
    LMBITS_CHECK(n == kInputs);
    const std::size_t match_set =
        static_cast<std::size_t>(match_length == 0 ? 0 : 1 + std::min(match_length / 4, 14)) * 8;
    const int a = by_partial.mix(inputs, partial);
    const int b = by_match.mix(inputs, match_set + static_cast<std::size_t>(bit_count));
    const int x = clamp_logistic((a + b) / 2);
    const int p0 = squash(x), p1 = first_correction.refine(x, partial);
    const int p2 = second_correction.refine(x, (partial | (history & 0xffU) << 8) & 0xffffU);
    p = static_cast<std::uint32_t>(std::clamp((2 * p0 + p1 + p2) / 4, 1, kOne - 1));
  }

  void update(bool bit) {
    order0[partial].update(bit, kCounterLimit);
    const std::size_t node = nibble_node();
    for (NibbleSlot* slot : current) slot->counters[node].update(bit, kCounterLimit);
    by_partial.update(inputs, bit);
    by_match.update(inputs, bit);
    first_correction.update(bit);
    second_correction.update(bit);
    if (match_length > 0) {
      const bool right = expected_bit() == bit;
      match_counters[static_cast<std::size_t>(std::min(match_length, 63)) * 2].update(right, 1023);
      if (!right) match_length = 0;
    }
    partial = partial << 1 | static_cast<std::uint32_t>(bit);
    if (++bit_count == 8) end_byte();
    if (bit_count == 0 || bit_count == 4) find_slots();
    predict();
  }

  void end_byte() {
    const auto byte = static_cast<unsigned char>(partial);
    seen.push_back(static_cast<char>(byte));
    history = history << 8 | byte;
    partial = 1;
    bit_count = 0;
    const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 128;
    word = letter ? hash(word, byte | 32U) : 0;
    const auto last = [&](int n) { return static_cast<std::uint32_t>(history & ((std::uint64_t{1} << (8 * n)) - 1)); };
    contexts = {last(1),
                last(2),
                last(3),
                last(4),
                hash(last(4), static_cast<std::uint32_t>(history >> 32 & 0xffffU)),
                hash(word, last(1)),
                static_cast<std::uint32_t>(history >> 8 & 0xffffU) | 0x10000U};
    follow_match(byte);
  }

  void follow_match(unsigned char byte) {
    if (match_length > 0 && static_cast<unsigned char>(seen[match_at]) == byte) {
      ++match_length;
      ++match_at;
    } else {
      match_length = 0;
    }
    if (seen.size() < kMinMatch) return;
    const std::uint32_t h =
        hash(static_cast<std::uint32_t>(history), static_cast<std::uint32_t>(history >> 32 & 0xffffU));
    std::uint32_t& place = match_positions[h & (match_positions.size() - 1)];
    if (match_length == 0 && place > 0) {
      match_at = place;
      while (match_length < 400 && static_cast<std::size_t>(match_length) < match_at &&
             seen[match_at - 1 - static_cast<std::size_t>(match_length)] ==
                 seen[seen.size() - 1 - static_cast<std::size_t>(match_length)])
        ++match_length;
      if (match_length < kMinMatch) match_length = 0;
    }
    place = static_cast<std::uint32_t>(seen.size());
  }

  // 0 to 14: which of a slot's counters the bits so far of this half lead to.
  std::size_t nibble_node() const {
    const std::uint32_t in_half =
        bit_count < 4 ? partial : (partial & ((1U << (bit_count - 4)) - 1)) | 1U << (bit_count - 4);
    return in_half - 1;
  }
  bool expected_bit() const { return (static_cast<unsigned char>(seen[match_at]) >> (7 - bit_count) & 1) != 0; }

  std::uint32_t slot_mask;
  std::vector<Counter> order0;
  std::vector<NibbleSlot> slots;
  std::vector<std::uint32_t> match_positions;  // behind the last occurrence of six bytes, by their hash
  std::vector<Counter> match_counters;
  Mixer by_partial, by_match;
  Correction first_correction, second_correction;

  std::string seen;
  std::uint64_t history = 0;  // the last eight bytes
  std::uint32_t partial = 1;  // the bits of this byte behind a 1
  int bit_count = 0;
  std::uint32_t word = 0;
  std::array<std::uint32_t, kHashed> contexts{};
  std::array<NibbleSlot*, kHashed> current{};
  std::size_t match_at = 0;  // in seen: the byte that the match expects
  int match_length = 0;
  std::array<int, kInputs> inputs{};
  std::uint32_t p = kOne / 2;
};

ContextMixer::ContextMixer(int table_bits) {
  LMBITS_CHECK(table_bits >= 4 && table_bits <= 24);
  state_ = std::make_unique<State>(table_bits);
}
ContextMixer::~ContextMixer() = default;
ContextMixer::ContextMixer(ContextMixer&&) noexcept = default;

std::uint32_t ContextMixer::p_one() const { return state_->p; }
void ContextMixer::update(bool bit) { state_->update(bit); }

double encode_bytes(ContextMixer& model, std::string_view bytes, RangeEncoder& encoder) {
  double bits = 0.0;
  for (const char byte : bytes) {
    for (int shift = 7; shift >= 0; --shift) {
      const bool bit = (static_cast<unsigned char>(byte) >> shift & 1) != 0;
      const std::uint32_t p = model.p_one(), width = bit ? p : kOne - p;
      bits -= std::log2(width * (1.0 / kOne));
      encoder.encode(bit ? 0 : p, width, kOne);
      model.update(bit);
    }
  }
  return bits;
}

std::string decode_bytes(ContextMixer& model, std::size_t n_bytes, RangeDecoder& decoder) {
  std::string bytes;
  for (std::size_t i = 0; i < n_bytes; ++i) {
    unsigned byte = 0;
    for (int k = 0; k < 8; ++k) {
      const std::uint32_t p = model.p_one();
      const bool bit = decoder.target(kOne) < p;
      decoder.consume(bit ? 0 : p, bit ? p : kOne - p, kOne);
      model.update(bit);
      byte = byte << 1 | static_cast<unsigned>(bit);
    }
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

namespace {

ContextMixer model_for(std::uint64_t n_bytes) {
  return ContextMixer(std::clamp(static_cast<int>(std::bit_width(n_bytes)) + 3, 12, 22));
}

}  // namespace

std::string mix_compress(std::string_view text) {
  std::string bytes;
  append_varint(bytes, text.size());
  ContextMixer model = model_for(text.size());
  RangeEncoder encoder;
  encode_bytes(model, text, encoder);
  return bytes + encoder.finish();
}

std::string mix_decompress(std::string_view bytes) {
  const std::uint64_t n_bytes = take_varint(bytes, "cm");
  ContextMixer model = model_for(n_bytes);
  RangeDecoder decoder(bytes);
  return decode_bytes(model, n_bytes, decoder);
}

}  // namespace lmbits
