// Whole rows of logits, for coding: a decoder needs the distribution of the next token where scoring needs one number of
// it. Not safe to share between threads: one object each.
//
// What encoder and decoder must agree on is every bit of every row. There are three ways to that:
//
//   kCached        A row's logits depend on the ids up to it and on nothing else: not on the batch's shape, nor on whether
//                  it was computed with its neighbours (predict) or by itself behind kept keys and values (step). The
//                  encoder scores whole windows, the decoder goes a token at a time. Proved on made-up ids when the
//                  predictor is made, bit for bit.
//   kStep          A row's logits are the same where a bundle's own step(ids, state) is called with the same number of
//                  streams, in the same order of calls. Both sides go a token at a time, in lock-step: every step() feeds
//                  one id to every stream, all at the same position.
//   kWindow        A row's logits are the same in batches of one shape, at one place. Both sides predict() batches of one
//                  sequence with the same T; the decoder runs the window again for every token.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "src/model/batch.h"

namespace lmbits {

enum class Decoding { kCached, kStep, kWindow };

// "cached", "step", "window".
constexpr const char* decoding_name(Decoding decoding) {
  return decoding == Decoding::kCached ? "cached" : decoding == Decoding::kStep ? "step" : "window";
}

// nullopt for another name.
constexpr std::optional<Decoding> decoding_of(std::string_view name) {
  for (const Decoding decoding : {Decoding::kCached, Decoding::kStep, Decoding::kWindow}) {
    if (name == decoding_name(decoding)) return decoding;
  }
  return std::nullopt;
}

// One id fed to a stream that is decoded a token at a time.
struct Step {
  std::int64_t slot;  // of the stream, in [0, n_slots)
  std::int64_t
      position;  // in its window, from 0; the positions before it were fed before, in this call or an earlier one
  std::int64_t id;
  bool wanted;  // is the distribution of the id behind it asked for?
};

class Predictor {
 public:
  // Row i and its logits [vocab_size], natural logarithms up to a constant; they are gone when it returns.
  using Use = std::function<void(std::size_t i, std::span<const float> logits)>;

  virtual ~Predictor() = default;
  virtual Decoding decoding() const = 0;

  // use(i, logits of batch.rows[i]) for every i, ascending. batch.targets is not looked at. Not where kStep.
  virtual void predict(const Batch& batch, const Use& use) = 0;

  // Room for n_slots streams in windows of n_positions, all of them empty. Not where kWindow.
  virtual void start(std::int64_t n_slots, std::int64_t n_positions) = 0;

  // Feeds the ids, in ascending positions of each stream; a position may be fed anew, with all behind it, which starts a
  // window. use(i, logits) for every i whose step is wanted, ascending. Where kStep: one id of each stream, in their
  // order, at one position, which is 0 or the last one's next.
  virtual void step(std::span<const Step> steps, const Use& use) = 0;

  // Bytes that a slot of a window keeps: for bounding n_slots.
  virtual std::int64_t slot_bytes(std::int64_t n_positions) const = 0;
};

}  // namespace lmbits
