// Blocks of bytes to coded bytes and back, with a model's predictions.
//
// A block's payload is its pieces (docs/formats.md) and one stream of the range coder: the ids, each with the model's
// distribution behind those before it (windows of the convention `default`), then the escaped bytes by context mixing.
// Blocks know nothing of each other.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/conventions/convention.h"
#include "src/model/language_model.h"
#include "src/scoring/online_mixer.h"

namespace lmbits {

struct BlockCoderOptions {
  Convention convention;                // "default"
  bool mix = false;                     // adapt the model's predictions on the fly (online_mixer.h)
  std::int64_t batch_positions = 4096;  // B * T to aim at, where batches are free to choose
  std::optional<Decoding> decoding;     // nullopt: the fastest that the model offers
  std::int64_t n_lock_step = 16;        // blocks that go together where decoding is kStep: both sides must agree
};

// What coding cost; sums add.
struct CodingCost {
  std::int64_t n_ids = 0;
  std::int64_t n_escaped = 0;
  double model_bits = 0.0;  // sum of -log2 p of the ids, as the model has them: what eval reports
  double ideal_bits = 0.0;  // the same after mixing; equal to model_bits without
  double coded_bits = 0.0;  // sum of -log2 q of the ids: of the integers that were coded
  double escaped_bits = 0.0;
  double piece_bits = 0.0;   // of the lists of pieces
  double stream_bits = 0.0;  // of the coder's streams: coded_bits + escaped_bits and what ends them

  CodingCost& operator+=(const CodingCost& other);
};

// One thread's; model and convention must outlive it.
class BlockCoder {
 public:
  BlockCoder(const LanguageModel& model, const BlockCoderOptions& options);

  // The payload of each block; of no use where a stop was requested meanwhile. Where decoding is kStep they depend on each
  // other: they decode together or not at all.
  std::vector<std::string> encode(const std::vector<std::string_view>& blocks, CodingCost& cost);

  // The blocks again, all of them in lock-step; n_bytes[i] is block i's size. Throws Error(kData) where a payload makes no
  // sense; whether the bytes are right is for the caller's checksum to say. Empty where a stop was requested.
  std::vector<std::string> decode(const std::vector<std::string_view>& payloads,
                                  const std::vector<std::int64_t>& n_bytes, const std::string& where);

  // How many blocks to decode at a time; where kStep, to encode too.
  std::int64_t n_streams() const;
  Decoding decoding() const { return predictor_->decoding(); }

  // A fingerprint of the integers that this model, on this machine, makes of made-up ids: as long as it is the same, so is
  // what decodes. 32 hex digits. Where decoding is kStep it is made in n_together streams, of which the first one counts: nullopt
  // takes n_streams(), files of version 2 took 2.
  std::string arithmetic(std::optional<std::int64_t> n_together = std::nullopt);

  std::function<void(std::int64_t n_ids)> on_ids = [](std::int64_t) {};  // told as work proceeds

 private:
  struct Encoding;
  struct Decoded;
  struct Lane {  // of the ids of a block in lock-step
    std::int64_t n;
    std::function<std::int64_t(std::int64_t i)> id;
    std::function<void(std::int64_t i, std::span<const float> logits)> take;  // the distribution of id i
  };
  void encode_ids(std::vector<Encoding>& blocks);
  void decode_ids(std::vector<Decoded>& blocks);
  void decode_by_windows(std::vector<Decoded>& blocks);
  void decode_cached(std::vector<Decoded>& blocks);
  void lock_step(const std::vector<Lane>& lanes);
  void tell(std::int64_t n_ids);

  const LanguageModel& model_;
  BlockCoderOptions options_;
  std::unique_ptr<Predictor> predictor_;
  std::vector<std::uint64_t> weights_;
  std::int64_t n_untold_ = 0;
};

}  // namespace lmbits
