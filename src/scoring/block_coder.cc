#include "src/scoring/block_coder.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/cdf.h"
#include "src/coding/container.h"
#include "src/coding/context_mixing.h"
#include "src/coding/range_coder.h"
#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/core/stop.h"
#include "src/scoring/block_text.h"

namespace lmbits {
namespace {

constexpr std::int64_t kMaxStreams = 64, kMaxMixedStreams = 16;  // mixing keeps counts of its own for each
constexpr std::int64_t kStreamBytes = std::int64_t{256} << 20;   // of kept keys and values, in all
constexpr std::int64_t kTellEvery = 256;                         // ids

double log2_of(std::uint64_t n) { return std::log2(static_cast<double>(n)); }

// A list of pieces: 2 n_ids + (is there more?); if so, 2 n_escaped + (does another piece follow?).
void append_pieces(std::string& bytes, const std::vector<BlockText::Piece>& pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool another = i + 1 < pieces.size(), more = another || pieces[i].n_escaped > 0;
    append_varint(bytes, 2 * static_cast<std::uint64_t>(pieces[i].n_ids) + (more ? 1 : 0));
    if (more) append_varint(bytes, 2 * static_cast<std::uint64_t>(pieces[i].n_escaped) + (another ? 1 : 0));
  }
}

std::vector<BlockText::Piece> take_pieces(std::string_view& bytes, std::int64_t n_bytes, const std::string& where) {
  std::vector<BlockText::Piece> pieces;
  std::uint64_t n_ids = 0, n_escaped = 0;
  for (bool another = n_bytes > 0; another;) {
    const std::uint64_t ids = take_varint(bytes, where);
    const std::uint64_t escaped = (ids & 1U) != 0 ? take_varint(bytes, where) : 0;
    another = (escaped & 1U) != 0;
    n_ids += ids / 2;
    n_escaped += escaped / 2;
    const auto most = static_cast<std::uint64_t>(n_bytes);
    if (ids / 2 > most + 16 || escaped / 2 > most || n_escaped > most || n_ids > most + 16 * (pieces.size() + 1))
      throw Error(ErrorKind::kData, where + ": a block of " + std::to_string(n_bytes) + " bytes cannot have " +
                                        std::to_string(n_ids) + " ids and " + std::to_string(n_escaped) +
                                        " escaped bytes");
    pieces.push_back({static_cast<std::int64_t>(ids / 2), static_cast<std::int64_t>(escaped / 2)});
  }
  return pieces;
}

// The model of escaped bytes: tables for their number, which both sides know.
ContextMixer escape_model(std::size_t n_bytes) {
  return ContextMixer(std::clamp(static_cast<int>(std::bit_width(n_bytes)) + 2, 8, 20));
}

struct Sums {
  std::int64_t n_ids = 0, n_escaped = 0;
};

Sums sums_of(const std::vector<BlockText::Piece>& pieces) {
  Sums sums;
  for (const BlockText::Piece& piece : pieces) {
    sums.n_ids += piece.n_ids;
    sums.n_escaped += piece.n_escaped;
  }
  return sums;
}

}  // namespace

CodingCost& CodingCost::operator+=(const CodingCost& other) {
  n_ids += other.n_ids;
  n_escaped += other.n_escaped;
  model_bits += other.model_bits;
  ideal_bits += other.ideal_bits;
  coded_bits += other.coded_bits;
  escaped_bits += other.escaped_bits;
  piece_bits += other.piece_bits;
  stream_bits += other.stream_bits;
  return *this;
}

BlockCoder::BlockCoder(const LanguageModel& model, const BlockCoderOptions& options)
    : model_(model), options_(options), predictor_(model.predictor(options.decoding)) {
  const std::int64_t vocab = model.info().vocab_size;
  if (vocab > kernels::kMaxCdfVocab)
    throw Error(ErrorKind::kModel, model.info().name + " has " + std::to_string(vocab) + " ids, coding takes up to " +
                                       std::to_string(kernels::kMaxCdfVocab));
}

std::int64_t BlockCoder::n_streams() const {
  if (decoding() == Decoding::kWindow) return 1;
  if (decoding() == Decoding::kStep) return options_.n_lock_step;
  const std::int64_t bytes = std::max<std::int64_t>(1, predictor_->slot_bytes(options_.convention.window));
  return std::clamp<std::int64_t>(kStreamBytes / bytes, 1, options_.mix ? kMaxMixedStreams : kMaxStreams);
}

void BlockCoder::tell(std::int64_t n_ids) {
  n_untold_ += n_ids;
  if (n_untold_ >= kTellEvery) on_ids(std::exchange(n_untold_, 0));
}

std::string BlockCoder::arithmetic() {
  constexpr std::int64_t kRows = 24;
  const std::int64_t vocab = model_.info().vocab_size, window = options_.convention.window;
  const std::int64_t n = std::min(kRows, window);
  const auto made_up = [&](std::int64_t i) { return (i * 7919 + 17) % vocab; };
  Fingerprint fingerprint;
  std::optional<OnlineMixer> mixer;
  if (options_.mix) mixer.emplace(vocab, n);
  std::vector<std::uint64_t> weights(static_cast<std::size_t>(vocab));
  const auto add = [&](std::int64_t i, std::span<const float> logits) {
    const std::span<const float> row = mixer ? mixer->mix(logits) : logits;
    kernels::cdf_weights(kernels::best_isa(), row.data(), vocab, weights.data());
    fingerprint.add({reinterpret_cast<const char*>(weights.data()), 8 * weights.size()});
    if (mixer) mixer->update(static_cast<std::int32_t>(made_up(i % 5)));  // what came before comes again
  };
  if (decoding() == Decoding::kStep) {
    predictor_->start(n_streams(), n);  // rows are those of as many streams as are coded together
    std::vector<Step> steps(static_cast<std::size_t>(n_streams()));
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t slot = 0; slot < n_streams(); ++slot)
        steps[static_cast<std::size_t>(slot)] = {slot, i, made_up(i + slot * n), slot == 0};
      predictor_->step(steps, [&](std::size_t, std::span<const float> row) { add(i, row); });
    }
    return fingerprint.hex();
  }
  Batch batch{1, decoding() == Decoding::kWindow ? window : n, {}, {}, {}, {}};
  for (std::int64_t i = 0; i < batch.n_positions; ++i) batch.ids.push_back(i < n ? made_up(i) : 0);
  for (std::int64_t i = 0; i < n; ++i) batch.rows.push_back(i);
  predictor_->predict(batch,
                      [&](std::size_t i, std::span<const float> row) { add(static_cast<std::int64_t>(i), row); });
  return fingerprint.hex();
}

// The longest block's windows, an id of each block at a time; blocks that have ended are fed id 0, so that every step has
// the shape that it has on the other side.
void BlockCoder::lock_step(const std::vector<Lane>& lanes) {
  std::int64_t n = 0;
  for (const Lane& lane : lanes) n = std::max(n, lane.n);
  predictor_->start(std::ssize(lanes), std::max<std::int64_t>(2, options_.convention.window));
  std::vector<Step> fed(lanes.size());
  for (std::int64_t k = 0; k < n_windows(options_.convention, n); ++k) {
    const Window window = window_at(options_.convention, n, k);
    for (std::int64_t i = window.begin; i < window.end && !stop_requested(); ++i) {
      std::int64_t n_wanted = 0;
      for (std::size_t slot = 0; slot < lanes.size(); ++slot) {
        const Lane& lane = lanes[slot];
        const bool wanted = i + 1 >= window.score_begin && i + 1 < std::min(window.score_end, lane.n);
        fed[slot] = {static_cast<std::int64_t>(slot), i - window.begin, i < lane.n ? lane.id(i) : 0, wanted};
        n_wanted += wanted ? 1 : 0;
      }
      predictor_->step(fed, [&](std::size_t slot, std::span<const float> row) { lanes[slot].take(i + 1, row); });
      tell(n_wanted);
    }
  }
}

// ---- encoding

struct BlockCoder::Encoding {
  BlockText text;
  std::vector<std::int64_t> x;  // the convention's sequence: BOS, where there is one, and the ids
  RangeEncoder encoder;
  std::optional<OnlineMixer> mixer;
  CodingCost cost;

  void code(std::span<const float> logits, std::int64_t id, const std::string& model) {
    const kernels::Isa isa = kernels::best_isa();
    const auto n = std::ssize(logits);
    kernels::CdfInterval interval = kernels::cdf_interval(isa, logits.data(), n, id);
    cost.model_bits += interval.bits;
    if (mixer && interval.total > 0) {
      interval = kernels::cdf_interval(isa, mixer->mix(logits).data(), n, id);
      mixer->update(static_cast<std::int32_t>(id));
    }
    if (interval.total == 0) {
      throw Error(ErrorKind::kModel, model + " gives logits that are NaN or infinite for this text",
                  "check the weights and their dtype");
    }
    cost.ideal_bits += interval.bits;
    cost.coded_bits += log2_of(interval.total) - log2_of(interval.width);
    encoder.encode(interval.low, interval.width, interval.total);
  }
};

std::vector<std::string> BlockCoder::encode(const std::vector<std::string_view>& texts, CodingCost& cost) {
  const auto vocab = static_cast<std::uint64_t>(model_.info().vocab_size);
  std::vector<Encoding> blocks(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Encoding& block = blocks[i];
    block.text = read_block(model_.tokenizer(), texts[i], model_.info().vocab_size);
    if (options_.convention.prepend_lead) block.x.push_back(*options_.convention.lead_id);
    block.x.insert(block.x.end(), block.text.ids.begin(), block.text.ids.end());
    block.cost.n_ids = std::ssize(block.text.ids);
    block.cost.n_escaped = std::ssize(block.text.escaped);
    if (options_.mix) block.mixer.emplace(model_.info().vocab_size, block.cost.n_ids);
    if (options_.convention.prepend_lead || block.x.empty()) continue;
    block.encoder.encode(static_cast<std::uint64_t>(block.x[0]), 1, vocab);  // nothing predicts the first id
    for (double* bits : {&block.cost.model_bits, &block.cost.ideal_bits, &block.cost.coded_bits})
      *bits += log2_of(vocab);
  }
  encode_ids(blocks);
  on_ids(std::exchange(n_untold_, 0));
  std::vector<std::string> payloads;
  for (Encoding& block : blocks) {
    std::string payload;
    append_pieces(payload, block.text.pieces);
    block.cost.piece_bits = 8.0 * static_cast<double>(payload.size());
    if (!block.text.escaped.empty()) {
      ContextMixer model = escape_model(block.text.escaped.size());
      block.cost.escaped_bits = encode_bytes(model, block.text.escaped, block.encoder);
    }
    const std::string stream = block.encoder.finish();
    block.cost.stream_bits = 8.0 * static_cast<double>(stream.size());
    payloads.push_back(payload + stream);
    cost += block.cost;
  }
  return payloads;
}

// Windows in the order of the blocks, as many at a time as a batch takes; a block's rows thus come in their order.
void BlockCoder::encode_ids(std::vector<Encoding>& blocks) {
  if (decoding() == Decoding::kStep) {
    std::vector<Lane> lanes;
    for (Encoding& block : blocks) {
      const auto id = [&block](std::int64_t i) { return block.x[static_cast<std::size_t>(i)]; };
      const auto take = [this, &block, id](std::int64_t i, std::span<const float> row) {
        block.code(row, id(i), model_.info().name);
      };
      lanes.push_back({std::ssize(block.x), id, take});
    }
    lock_step(lanes);
    return;
  }
  struct Part {
    Encoding* block;
    Window window;
  };
  std::vector<Part> parts;
  Batch batch;
  const auto flush = [&] {
    if (parts.empty() || stop_requested()) return;
    batch = {};
    std::int64_t longest = 0;
    for (const Part& part : parts) longest = std::max(longest, part.window.n_fed());
    batch.n_sequences = std::ssize(parts);
    batch.n_positions = longest;
    batch.ids.assign(static_cast<std::size_t>(batch.n_sequences * longest), 0);
    std::vector<std::pair<Encoding*, std::int64_t>> targets;  // of each row: x[second] of a block
    std::int64_t start = 0;
    for (const Part& part : parts) {
      const Window& w = part.window;
      std::copy(part.block->x.begin() + w.begin, part.block->x.begin() + w.end, batch.ids.begin() + start);
      for (std::int64_t i = w.score_begin; i < w.score_end; ++i) {
        batch.rows.push_back(start + w.row_of(i));
        targets.emplace_back(part.block, i);
      }
      start += longest;
    }
    predictor_->predict(batch, [&](std::size_t i, std::span<const float> logits) {
      const auto [block, at] = targets[i];
      block->code(logits, block->x[static_cast<std::size_t>(at)], model_.info().name);
    });
    tell(std::ssize(targets));
    parts.clear();
  };
  std::int64_t longest = 0;
  for (Encoding& block : blocks) {
    const auto n = std::ssize(block.x);
    for (std::int64_t k = 0; k < n_windows(options_.convention, n); ++k) {
      const Window window = window_at(options_.convention, n, k);
      longest = std::max(longest, window.n_fed());
      const bool full = longest * (std::ssize(parts) + 1) > options_.batch_positions;
      if (!parts.empty() && (full || decoding() == Decoding::kWindow)) {
        flush();
        longest = window.n_fed();
      }
      parts.push_back({&block, window});
    }
  }
  flush();
}

// ---- decoding

struct BlockCoder::Decoded {
  std::vector<BlockText::Piece> pieces;
  std::int64_t n_ids = 0, n_escaped = 0;
  std::optional<RangeDecoder> decoder;
  std::optional<OnlineMixer> mixer;
  std::vector<std::int64_t> x;  // as far as it is known
  std::int64_t n_x = 0;         // with BOS
  std::int64_t k = -1;          // the window, and what of it was fed
  Window window{0, 0, 0, 0};
  std::int64_t n_fed = 0;

  bool done() const { return std::ssize(x) == n_x; }

  // The window that predicts the next id; true where it is a new one.
  void go_on(const Convention& convention) {
    while (std::ssize(x) >= window.score_end) {
      window = window_at(convention, n_x, ++k);
      n_fed = 0;
    }
  }

  void take(std::span<const float> logits, std::vector<std::uint64_t>& weights) {
    const std::span<const float> row = mixer ? mixer->mix(logits) : logits;
    weights.resize(row.size());
    const std::uint64_t total = kernels::cdf_weights(kernels::best_isa(), row.data(), std::ssize(row), weights.data());
    if (total == 0)
      throw Error(ErrorKind::kData, "the model gives logits that are NaN or infinite where the encoder's were not");
    const kernels::CdfSymbol found = kernels::cdf_find(weights.data(), std::ssize(row), decoder->target(total));
    decoder->consume(found.low, found.width, total);
    if (mixer) mixer->update(static_cast<std::int32_t>(found.symbol));
    x.push_back(found.symbol);
  }
};

std::vector<std::string> BlockCoder::decode(const std::vector<std::string_view>& payloads,
                                            const std::vector<std::int64_t>& n_bytes, const std::string& where) {
  const auto vocab = static_cast<std::uint64_t>(model_.info().vocab_size);
  std::vector<Decoded> blocks(payloads.size());
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    Decoded& block = blocks[i];
    std::string_view rest = payloads[i];
    block.pieces = take_pieces(rest, n_bytes[i], where);
    block.n_ids = sums_of(block.pieces).n_ids;
    block.n_escaped = sums_of(block.pieces).n_escaped;
    block.decoder.emplace(rest);
    if (options_.mix) block.mixer.emplace(model_.info().vocab_size, block.n_ids);
    block.n_x = block.n_ids;
    if (options_.convention.prepend_lead) {
      block.x.push_back(*options_.convention.lead_id);
      ++block.n_x;
    } else if (block.n_ids > 0) {
      const std::uint64_t id = block.decoder->target(vocab);
      block.decoder->consume(id, 1, vocab);
      block.x.push_back(static_cast<std::int64_t>(id));
    }
  }
  decode_ids(blocks);
  on_ids(std::exchange(n_untold_, 0));
  std::vector<std::string> texts;
  for (Decoded& block : blocks) {
    if (!block.done()) return {};  // stopped
    BlockText text;
    text.pieces = block.pieces;
    text.ids.assign(block.x.end() - block.n_ids, block.x.end());
    if (block.n_escaped > 0) {
      ContextMixer model = escape_model(static_cast<std::size_t>(block.n_escaped));
      text.escaped = decode_bytes(model, static_cast<std::size_t>(block.n_escaped), *block.decoder);
    }
    texts.push_back(write_block(model_.tokenizer(), text));
  }
  return texts;
}

void BlockCoder::decode_ids(std::vector<Decoded>& blocks) {
  if (decoding() == Decoding::kWindow) return decode_by_windows(blocks);
  if (decoding() == Decoding::kCached) return decode_cached(blocks);
  std::vector<Lane> lanes;
  for (Decoded& block : blocks) {
    lanes.push_back({block.n_x, [&block](std::int64_t i) { return block.x[static_cast<std::size_t>(i)]; },
                     [this, &block](std::int64_t, std::span<const float> row) { block.take(row, weights_); }});
  }
  lock_step(lanes);
}

void BlockCoder::decode_by_windows(std::vector<Decoded>& blocks) {
  for (Decoded& block : blocks) {
    while (!block.done() && !stop_requested()) {
      block.go_on(options_.convention);
      const auto at = std::ssize(block.x);
      Batch batch{1, block.window.n_fed(), {}, {block.window.row_of(at)}, {}, {}};
      batch.ids.assign(block.x.begin() + block.window.begin, block.x.begin() + std::min(block.window.end, at));
      batch.ids.resize(static_cast<std::size_t>(batch.n_positions), 0);
      predictor_->predict(batch, [&](std::size_t, std::span<const float> row) { block.take(row, weights_); });
      tell(1);
    }
  }
}

void BlockCoder::decode_cached(std::vector<Decoded>& blocks) {
  predictor_->start(std::ssize(blocks), std::max<std::int64_t>(2, options_.convention.window));
  std::vector<Step> fed;
  while (!stop_requested()) {
    fed.clear();
    std::int64_t n_wanted = 0;
    for (std::size_t slot = 0; slot < blocks.size(); ++slot) {
      Decoded& block = blocks[slot];
      if (block.done()) continue;
      block.go_on(options_.convention);
      const std::int64_t last = block.window.row_of(std::ssize(block.x));
      for (; block.n_fed <= last; ++block.n_fed) {
        const std::int64_t id = block.x[static_cast<std::size_t>(block.window.begin + block.n_fed)];
        fed.push_back({static_cast<std::int64_t>(slot), block.n_fed, id, block.n_fed == last});
      }
      ++n_wanted;
    }
    if (fed.empty()) break;
    predictor_->step(fed, [&](std::size_t i, std::span<const float> row) {
      blocks[static_cast<std::size_t>(fed[i].slot)].take(row, weights_);
    });
    tell(n_wanted);
  }
}

}  // namespace lmbits
