#include "src/selection/deflate_size.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
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
    case 4:
      return {4, 4, 16, 16};
    case 5:
      return {8, 16, 32, 32};
    case 6:
      return {8, 16, 128, 128};
    case 7:
      return {8, 32, 128, 256};
    case 8:
      return {32, 128, 258, 1024};
    default:
      return {32, 258, 258, 4096};
  }
}

constexpr std::uint32_t kWindow = 32768, kMask = kWindow - 1;
constexpr std::uint32_t kMinLookahead = 262;  // a longest match, a shortest one, and 1
constexpr std::uint32_t kMaxDistance = kWindow - kMinLookahead;
constexpr std::uint32_t kTooFar = 4096;  // a match of 3 that is further costs more than its literals
constexpr std::uint32_t kBlockSymbols = 16383;
constexpr int kMinMatch = 3, kMaxMatch = 258;

template <typename T>
T load(const unsigned char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
std::uint16_t load16(const unsigned char* p) { return load<std::uint16_t>(p); }
std::uint32_t load32(const unsigned char* p) { return load<std::uint32_t>(p); }

// Everything but the hash chains and the text. Positions count from `origin` of the text, see rebase().
struct ParseState {
  std::uint32_t position = 0;  // of the byte looked at
  std::uint32_t base = 0;      // where zlib's window of 64 KiB begins; nothing at or before it is matched
  std::int64_t block_start = 0;
  int match_length = kMinMatch - 1;
  std::uint32_t match_start = 0;
  bool match_available = false;  // the byte before is neither written nor part of a match yet
  std::uint32_t n_symbols = 0;   // of the open block
  std::int64_t bits = 0;         // of the closed ones
  BlockHistogram block;
};

// Where the bytes at a position stood before, at hand by three hashes. zlib walks the chain of 3 bytes alone, up to 4096
// positions of it at level 9. What it finds, the nearest of the longest matches, is found without: matches of 5 bytes or
// more are all in the chain of 5, which is short, and of those of 4 and of 3 the nearest one counts. Where zlib gives a chain
// up, the ordinals tell: they count the positions of each chain of 3.
class Chains {
 public:
  struct Link {
    std::uint16_t back3 = 0, back4 = 0, back5 = 0;  // distance to the position before in the chain; 0: none, or far
    std::uint16_t ordinal = 0;
  };

  // Enters a position, of which `n_left` >= 3 bytes are there; returns the one before in the chain of 3, 0 where there is none
  // (position 0 is never matched).
  std::uint32_t insert(std::uint32_t position, const unsigned char* p, std::uint32_t n_left) {
    Link& link = links_[position & kMask];
    if (is_undoable_) undo_.push_back(link);
    const std::uint32_t bucket = hash3(p), head = head3_[bucket];
    link = {enter(head3_[bucket], position), 0, 0, ++count_[bucket]};
    if (n_left >= 4) link.back4 = enter(head4_[hash4(p)], position);
    if (n_left >= 5) link.back5 = enter(head5_[hash5(p)], position);
    return head;
  }

  const Link& link(std::uint32_t position) const { return links_[position & kMask]; }

  // What is inserted from now on can be undone: for up to kWindow + kMinLookahead positions, one after the other.
  void begin_undoable() {
    undo_.clear();
    is_undoable_ = true;
  }
  // `p`: the bytes at `first`, the first position inserted since then; `n_bytes` of them.
  void undo(std::uint32_t first, const unsigned char* p, std::uint32_t n_bytes) {
    for (auto i = static_cast<std::uint32_t>(undo_.size()); i-- > 0; undo_.pop_back()) {
      const std::uint32_t position = first + i;
      Link& link = links_[position & kMask];
      const std::uint32_t bucket = hash3(p + i);
      leave(head3_[bucket], position, link.back3);
      --count_[bucket];
      if (n_bytes - i >= 4) leave(head4_[hash4(p + i)], position, link.back4);
      if (n_bytes - i >= 5) leave(head5_[hash5(p + i)], position, link.back5);
      link = undo_.back();
    }
    is_undoable_ = false;
  }

  // All positions become `n` less.
  void lower(std::uint32_t n) {
    for (auto* heads : {&head3_, &head4_, &head5_})
      for (std::uint32_t& position : *heads) position = position > n ? position - n : 0;
  }

 private:
  // Heads too far back for the 16 bits are as good as none, also once later positions are undone.
  static std::uint16_t enter(std::uint32_t& head, std::uint32_t position) {
    const std::uint32_t back = position - head;
    const bool is_near = head != 0 && back < 65536;
    head = position;
    return is_near ? static_cast<std::uint16_t>(back) : std::uint16_t{0};
  }
  static void leave(std::uint32_t& head, std::uint32_t position, std::uint16_t back) {
    head = back == 0 ? 0 : position - back;
  }

  // zlib's own, so that the chains have its lengths; collisions included.
  static std::uint32_t hash3(const unsigned char* p) {
    return (std::uint32_t{p[0]} << 10 ^ std::uint32_t{p[1]} << 5 ^ std::uint32_t{p[2]}) & kMask;
  }
  static std::uint32_t hash4(const unsigned char* p) { return load32(p) * 2654435761u >> 17; }
  static std::uint32_t hash5(const unsigned char* p) {
    return static_cast<std::uint32_t>((load32(p) | std::uint64_t{p[4]} << 32) * 0x9e3779b97f4a7c15u >> 49);
  }

  std::vector<std::uint32_t> head3_ = std::vector<std::uint32_t>(kWindow), head4_ = head3_, head5_ = head3_;
  std::vector<std::uint16_t> count_ = std::vector<std::uint16_t>(kWindow);
  std::vector<Link> links_ = std::vector<Link>(kWindow), undo_;
  bool is_undoable_ = false;
};

class DeflateSizer final : public PrefixSizer {
 public:
  DeflateSizer(int level, std::uint32_t rebase_at) : level_(level_of(level)), rebase_at_(rebase_at) { begin_block(); }

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
    if (sample.size() > kWindow) {  // a copy is cheaper than to undo every position
      const Chains saved_chains = chains_;
      parse(/*is_final=*/true);
      chains_ = saved_chains;
    } else {
      chains_.begin_undoable();
      parse(/*is_final=*/true);
      chains_.undo(saved.position, at(saved.position), end() - saved.position);
    }
    const std::int64_t size = 2 + (state_.bits + 7) / 8 + 4;  // zlib's header, checksum
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

  std::uint32_t insert(std::uint32_t position, std::uint32_t end) {
    return chains_.insert(position, at(position), end - position);
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
      const std::uint32_t head = lookahead >= kMinMatch ? insert(s.position, end) : 0;
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
    if (filled - state_.position < kMinLookahead && state_.position - state_.base >= kWindow + kMaxDistance)
      state_.base += kWindow;
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
      if (++s.position + kMinMatch <= end) insert(s.position, end);
    s.match_available = false;
    s.match_length = kMinMatch - 1;
    ++s.position;
    if (++s.n_symbols == kBlockSymbols) end_block(false);
  }

  // The nearest of the longest matches that zlib would come to see from `head`, the chain's nearest, on; `best` where none is
  // longer than that. Sets match_start where one is.
  int longest_match(std::uint32_t head, int best, std::uint32_t lookahead) {
    const unsigned char* scan = at(state_.position);
    const int max_length = static_cast<int>(std::min<std::uint32_t>(kMaxMatch, lookahead));
    const int nice = std::min(level_.nice_length, max_length);
    if (best >= max_length) return max_length;
    const Walk walk{head, std::max(state_.base, state_.position > kMaxDistance ? state_.position - kMaxDistance : 0),
                    best >= level_.good_length ? level_.max_chain >> 2 : level_.max_chain};
    if (max_length >= 5) {
      for (std::uint32_t c = step(walk, state_.position, &Chains::Link::back5); c != 0;
           c = step(walk, c, &Chains::Link::back5)) {
        const unsigned char* match = at(c);
        if (load16(match + best - 1) != load16(scan + best - 1)) continue;
        const int length = common_length(scan, match, max_length);
        if (length <= best || length < 5) continue;  // of the latter, the nearest may be in another chain
        if (is_given_up(walk, c)) break;
        state_.match_start = c;
        best = length;
        if (length >= nice) break;
      }
    }
    if (best < 4 && max_length >= 4) best = nearest(walk, &Chains::Link::back4, 4, scan, best);
    if (best < 3) best = nearest(walk, &Chains::Link::back3, 3, scan, best);
    return best;
  }

  // How far zlib goes along a chain.
  struct Walk {
    std::uint32_t head;   // is looked at even at `limit` itself
    std::uint32_t limit;  // all others lie behind it
    int max_chain;        // positions of the chain of 3
  };

  // The position before `c` in a chain; 0 where there is none within reach.
  std::uint32_t step(const Walk& walk, std::uint32_t c, std::uint16_t Chains::Link::*back) const {
    const std::uint16_t distance = chains_.link(c).*back;
    if (distance == 0) return 0;
    c -= distance;
    return c > walk.limit || c == walk.head ? c : 0;
  }

  // Would zlib have given up the chain of 3 before it came to the match at `c`?
  bool is_given_up(const Walk& walk, std::uint32_t c) const {
    return static_cast<std::uint16_t>(chains_.link(state_.position).ordinal - chains_.link(c).ordinal) > walk.max_chain;
  }

  // `length` where the chain has a match of that length, the nearest of which is match_start then; else `best`.
  int nearest(const Walk& walk, std::uint16_t Chains::Link::*back, int length, const unsigned char* scan, int best) {
    for (std::uint32_t c = step(walk, state_.position, back); c != 0; c = step(walk, c, back)) {
      if (std::memcmp(at(c), scan, static_cast<std::size_t>(length)) != 0) continue;  // another with the same hash
      if (is_given_up(walk, c)) return best;
      state_.match_start = c;
      return length;
    }
    return best;
  }

  static int common_length(const unsigned char* a, const unsigned char* b, int max_length) {
    int n = 0;
    for (; n + 8 <= max_length; n += 8) {
      const std::uint64_t difference = load<std::uint64_t>(a + n) ^ load<std::uint64_t>(b + n);
      if (difference != 0) return n + __builtin_ctzll(difference) / 8;  // little-endian
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

  // By a multiple of the window, so that every position keeps its place in the chains' ring; and not so far that a chain's
  // 16 bits, from a position after the base, could lead below 0.
  void rebase() {
    const std::uint32_t unmatched = std::min(state_.base, text_begin_ / kWindow * kWindow);
    if (state_.position < rebase_at_ || unmatched <= 2 * kWindow) return;
    const std::uint32_t n = unmatched - 2 * kWindow;
    chains_.lower(n);
    text_begin_ -= n;
    state_.position -= n;
    state_.base -= n;
    state_.match_start -= std::min(n, state_.match_start);
    state_.block_start -= n;
  }

  const Level level_;
  const std::uint32_t rebase_at_;
  ParseState state_;
  Chains chains_;
  std::string text_;              // the prefix's end: a window, and what is not parsed yet
  std::uint32_t text_begin_ = 0;  // position of its first byte
};

}  // namespace

std::unique_ptr<PrefixSizer> make_zlib_sizer(int level) { return std::make_unique<ZlibSizer>(level); }

std::unique_ptr<PrefixSizer> make_deflate_sizer(int level, std::uint32_t rebase_at) {
  LMBITS_CHECK(level >= 4 && level <= 9);
  return std::make_unique<DeflateSizer>(level, rebase_at);
}

}  // namespace lmbits
