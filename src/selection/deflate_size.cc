#include "src/selection/deflate_size.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <tuple>
#include <utility>

#include "src/core/error.h"
#include "src/selection/deflate_trees.h"

namespace lmbits {
namespace {

// ---- zlib, its state copied.

class ZlibSizer final : public PrefixSizer {
 public:
  explicit ZlibSizer(int level) : output_(1 << 16) {
    if (deflateInit2(&prefix_, level, Z_DEFLATED, 15, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  }
  ~ZlibSizer() override { deflateEnd(&prefix_); }
  ZlibSizer(const ZlibSizer&) = delete;
  ZlibSizer& operator=(const ZlibSizer&) = delete;

  void append(std::string_view bytes) override { run(prefix_, bytes, Z_NO_FLUSH); }

  std::int64_t size_with(std::string_view sample) override {
    z_stream copy{};
    if (deflateCopy(&copy, &prefix_) != Z_OK) throw std::bad_alloc();
    run(copy, sample, Z_FINISH);
    const auto size = static_cast<std::int64_t>(copy.total_out);
    deflateEnd(&copy);
    return size;
  }

 private:
  void run(z_stream& stream, std::string_view bytes, int flush) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream.next_out = output_.data();
      stream.avail_out = static_cast<uInt>(output_.size());
      deflate(&stream, flush);
    } while (stream.avail_out == 0);
    LMBITS_CHECK(stream.avail_in == 0);
  }

  z_stream prefix_{};
  std::vector<Bytef> output_;
};

// ---- The same without writing.

struct Level {
  int good_length;  // with a match this long already, a quarter of the chain
  int max_lazy;     // with one this long, no look at the next position
  int nice_length;  // long enough to stop
  int max_chain;
};

Level level_of(int level) {
  switch (level) {
    case 4: return {4, 4, 16, 16};
    case 5: return {8, 16, 32, 32};
    case 6: return {8, 16, 128, 128};
    case 7: return {8, 32, 128, 256};
    case 8: return {32, 128, 258, 1024};
    default: return {32, 258, 258, 4096};
  }
}

constexpr std::uint32_t kWindow = 32768, kMask = kWindow - 1;
constexpr std::uint32_t kMinLookahead = 262;  // a longest match, a shortest one, and 1
constexpr std::uint32_t kMaxDistance = kWindow - kMinLookahead;
constexpr std::uint32_t kTooFar = 4096;  // a match of 3 that is further costs more than its literals
constexpr std::uint32_t kBlockSymbols = 16383;
constexpr int kMinMatch = 3, kMaxMatch = 258;
constexpr std::uint32_t kRebaseAt = std::uint32_t{1} << 30;

// Everything but the hash chains and the text. Positions count from `origin` of the text, see rebase().
struct ParseState {
  std::uint32_t position = 0;     // of the byte looked at
  std::uint32_t base = 0;         // where zlib's window of 64 KiB begins; nothing at or before it is matched
  std::int64_t block_start = 0;
  int match_length = kMinMatch - 1;
  std::uint32_t match_start = 0;
  bool match_available = false;   // the byte before is neither written nor part of a match yet
  std::uint32_t n_symbols = 0;    // of the open block
  std::int64_t bits = 0;          // of the closed ones
  BlockHistogram block;
};

class DeflateSizer final : public PrefixSizer {
 public:
  explicit DeflateSizer(int level) : level_(level_of(level)), head_(kWindow), prev_(kWindow) { begin_block(); }

  void append(std::string_view bytes) override {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kAppendBytes))) {
      text_.append(bytes.substr(0, kAppendBytes));
      parse(/*is_final=*/false);
      trim();
      rebase();
    }
  }

  std::int64_t size_with(std::string_view sample) override {
    LMBITS_CHECK(static_cast<std::int64_t>(sample.size()) <= kMaxSampleBytes);
    const ParseState saved = state_;
    const std::size_t length = text_.size();
    text_.append(sample);
    const bool keeps_tables = sample.size() > kWindow;  // cheaper than to undo every position
    if (keeps_tables) saved_tables_ = {head_, prev_};
    undo_.clear();
    is_undoable_ = !keeps_tables;
    parse(/*is_final=*/true);
    const std::int64_t size = 2 + (state_.bits + 7) / 8 + 4;  // zlib's header, checksum
    if (keeps_tables) {
      std::tie(head_, prev_) = saved_tables_;
    } else {
      undo(saved.position);
    }
    is_undoable_ = false;
    text_.resize(length);
    state_ = saved;
    return size;
  }

 private:
  static constexpr std::size_t kAppendBytes = std::size_t{1} << 20, kKeptBytes = std::size_t{1} << 17;

  std::uint32_t end() const { return text_begin_ + static_cast<std::uint32_t>(text_.size()); }
  const unsigned char* at(std::uint32_t position) const {
    return reinterpret_cast<const unsigned char*>(text_.data()) + (position - text_begin_);
  }

  void begin_block() {
    state_.block = {};
    state_.block.literals[kEndOfBlock] = 1;
    state_.n_symbols = 0;
  }

  // Enters the position into its chain; returns the chain's head before it. 0: none (position 0 is never matched).
  std::uint32_t insert(std::uint32_t position) {
    std::uint32_t& head = head_[hash(position)];
    std::uint32_t& prev = prev_[position & kMask];
    if (is_undoable_) undo_.push_back(prev);
    prev = head;
    head = position;
    return prev;
  }

  std::uint32_t hash(std::uint32_t position) const {
    const unsigned char* p = at(position);
    return (std::uint32_t{p[0]} << 10 ^ std::uint32_t{p[1]} << 5 ^ std::uint32_t{p[2]}) & kMask;
  }

  // Positions were entered one after the other from the first one that was not yet.
  void undo(std::uint32_t first) {
    for (auto position = first + static_cast<std::uint32_t>(undo_.size()); position > first;) {
      --position;
      std::uint32_t& prev = prev_[position & kMask];
      head_[hash(position)] = prev;
      prev = undo_.back();
      undo_.pop_back();
    }
  }

  // Lazy matching, as deflate_slow does it. Where more text may follow, it stops at the first position whose match that
  // could change.
  void parse(bool is_final) {
    ParseState& s = state_;
    const std::uint32_t end = this->end();
    while (true) {
      const std::uint32_t lookahead = end - s.position;
      if (is_final ? lookahead == 0 : lookahead < kMinLookahead) break;
      slide(end);
      const std::uint32_t head = lookahead >= kMinMatch ? insert(s.position) : 0;
      const int previous_length = s.match_length;
      const std::uint32_t previous_start = s.match_start;
      s.match_length = kMinMatch - 1;
      if (head > s.base && previous_length < level_.max_lazy && s.position - head <= kMaxDistance) {
        s.match_length = longest_match(head, previous_length, lookahead);
        if (s.match_length == kMinMatch && s.position - s.match_start > kTooFar) s.match_length = kMinMatch - 1;
      }
      if (previous_length >= kMinMatch && s.match_length <= previous_length) {
        take_match(s.position - 1 - previous_start, previous_length, end);
      } else {
        if (s.match_available && take_literal(*at(s.position - 1))) end_block(false);
        s.match_available = true;
        ++s.position;
      }
    }
    if (!is_final) return;
    if (s.match_available) take_literal(*at(s.position - 1));
    end_block(true);
  }

  // zlib holds 64 KiB and moves on by 32 when less than a longest match is left of them, or of the text.
  void slide(std::uint32_t end) {
    const std::uint32_t filled = std::min(end, state_.base + 2 * kWindow);
    if (filled - state_.position < kMinLookahead && state_.position - state_.base >= kWindow + kMaxDistance) state_.base += kWindow;
  }

  // True where the block is full with it.
  bool take_literal(unsigned char byte) {
    ++state_.block.literals[byte];
    return ++state_.n_symbols == kBlockSymbols;
  }

  void take_match(std::uint32_t distance, int length, std::uint32_t end) {
    ParseState& s = state_;
    ++s.block.literals[static_cast<std::size_t>(length_code(length))];
    ++s.block.distances[static_cast<std::size_t>(distance_code(static_cast<int>(distance)))];
    for (int i = 2; i < length; ++i)
      if (++s.position + kMinMatch <= end) insert(s.position);
    s.match_available = false;
    s.match_length = kMinMatch - 1;
    ++s.position;
    if (++s.n_symbols == kBlockSymbols) end_block(false);
  }

  // The nearest of the longest matches along the chain from `candidate` on; `best` where none is longer than that. Sets
  // match_start where one is.
  int longest_match(std::uint32_t candidate, int best, std::uint32_t lookahead) {
    const unsigned char* scan = at(state_.position);
    const int max_length = static_cast<int>(std::min<std::uint32_t>(kMaxMatch, lookahead));
    const int nice = std::min(level_.nice_length, max_length);
    if (best >= max_length) return max_length;
    const std::uint32_t limit =
        std::max(state_.base, state_.position > kMaxDistance ? state_.position - kMaxDistance : 0);
    int n_left = best >= level_.good_length ? level_.max_chain >> 2 : level_.max_chain;
    std::uint16_t wanted_start = load16(scan), wanted_end = load16(scan + best - 1);
    do {
      const unsigned char* match = at(candidate);
      if (load16(match + best - 1) != wanted_end || load16(match) != wanted_start) continue;
      const int length = common_length(scan, match, max_length);
      if (length <= best) continue;
      state_.match_start = candidate;
      best = length;
      if (length >= nice) break;
      wanted_end = load16(scan + best - 1);
    } while ((candidate = prev_[candidate & kMask]) > limit && --n_left != 0);
    return best;
  }

  static std::uint16_t load16(const unsigned char* p) {
    std::uint16_t value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }

  static int common_length(const unsigned char* a, const unsigned char* b, int max_length) {
    int n = 0;
    for (std::uint64_t x, y; n + 8 <= max_length; n += 8) {
      std::memcpy(&x, a + n, sizeof x);
      std::memcpy(&y, b + n, sizeof y);
      if (x != y) return n + __builtin_ctzll(x ^ y) / 8;  // little-endian
    }
    while (n < max_length && a[n] == b[n]) ++n;
    return n;
  }

  void end_block(bool is_last) {
    ParseState& s = state_;
    const std::int64_t n_bytes = s.position - s.block_start;
    const BlockBits bits = block_bits(s.block);
    const std::int64_t static_bytes = (bits.static_bits + 3 + 7) / 8;
    const std::int64_t coded_bytes = std::min((bits.dynamic_bits + 3 + 7) / 8, static_bytes);
    if (n_bytes + 4 <= coded_bytes && s.block_start >= s.base) {  // stored, from a byte on; all of it is still there
      s.bits = (s.bits + 3 + 7) / 8 * 8 + 32 + 8 * n_bytes;
    } else {
      s.bits += 3 + (static_bytes == coded_bytes ? bits.static_bits : bits.dynamic_bits);
    }
    if (is_last) return;
    s.block_start = s.position;
    begin_block();
  }

  void trim() {
    if (text_.size() < kKeptBytes || state_.position - text_begin_ < 2 * kWindow) return;
    const std::uint32_t n_gone = state_.position - text_begin_ - kWindow;
    text_.erase(0, n_gone);
    text_begin_ += n_gone;
  }

  // Positions are 32-bit numbers: from time to time all of them are lowered, by a multiple of the window.
  void rebase() {
    if (state_.position < kRebaseAt) return;
    const std::uint32_t n = std::min(state_.base, text_begin_ / kWindow * kWindow);
    for (auto* table : {&head_, &prev_})
      for (std::uint32_t& position : *table) position = position > n ? position - n : 0;
    text_begin_ -= n;
    state_.position -= n;
    state_.base -= n;
    state_.match_start -= std::min(n, state_.match_start);
    state_.block_start -= n;
  }

  const Level level_;
  ParseState state_;
  std::vector<std::uint32_t> head_, prev_;  // by hash: its last position; by position: the one before with its hash
  std::string text_;                        // the prefix's end: a window, and what is not parsed yet
  std::uint32_t text_begin_ = 0;            // position of its first byte
  bool is_undoable_ = false;
  std::vector<std::uint32_t> undo_;         // what stood in prev_, by position
  std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> saved_tables_;
};

}  // namespace

std::unique_ptr<PrefixSizer> make_zlib_sizer(int level) { return std::make_unique<ZlibSizer>(level); }

std::unique_ptr<PrefixSizer> make_deflate_sizer(int level) {
  LMBITS_CHECK(level >= 4 && level <= 9);
  return std::make_unique<DeflateSizer>(level);
}

}  // namespace lmbits
