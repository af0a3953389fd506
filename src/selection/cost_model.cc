#include "src/selection/cost_model.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <new>
#include <utility>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/selection/deflate_size.h"

namespace lmbits {
namespace {

// Calls work(lane, i) for each i in [0, n), a lane on one thread at a time.
void over_lanes(std::int64_t n, int n_lanes, const std::function<void(std::size_t, std::int64_t)>& work) {
  std::atomic<std::int64_t> next{0};
  const int n_used = static_cast<int>(std::min<std::int64_t>(n, n_lanes));
  parallel_for(n_used, n_used, [&](std::int64_t lane) {
    for (std::int64_t i = next++; i < n; i = next++) work(static_cast<std::size_t>(lane), i);
  });
}

int lanes_of(int n_threads) { return n_threads > 0 ? n_threads : available_threads(); }

// ---- deflate

class DeflateSet final : public StoredSet {
 public:
  DeflateSet(int level, int n_lanes, bool by_zlib) : level_(level) {
    const bool is_fast = !by_zlib && level >= 4;
    for (int i = 0; i < n_lanes; ++i)
      lanes_.push_back({is_fast ? make_deflate_sizer(level) : make_zlib_sizer(level), 0});
    if (is_fast) judge_ = {make_zlib_sizer(level), 0};
  }

  void append(std::string_view text) override {
    raw_bytes_ += std::ssize(text);
    appended_.emplace_back(text);
    forget_what_all_know();
  }

  std::vector<StoredSize> sizes_with(std::int64_t n, const TextOf& text) override {
    std::vector<StoredSize> sizes(static_cast<std::size_t>(n));
    over_lanes(n, static_cast<int>(lanes_.size()), [&](std::size_t lane, std::int64_t i) {
      const std::string bytes = text(i);
      sizes[static_cast<std::size_t>(i)] = {raw_bytes_ + std::ssize(bytes),
                                            static_cast<double>(up_to_date(lanes_[lane]).size_with(bytes))};
    });
    if (judge_.sizer && n > 0 && n_calls_++ % 64 == 0) judge(text(0), sizes[0]);
    return sizes;
  }

 private:
  // A copy of the set for a thread, which takes in what was appended when it needs to.
  struct Lane {
    std::unique_ptr<PrefixSizer> sizer;
    std::size_t n_known;  // of all that was ever appended
  };

  PrefixSizer& up_to_date(Lane& lane) {
    for (; lane.n_known < n_forgotten_ + appended_.size(); ++lane.n_known)
      lane.sizer->append(appended_[lane.n_known - n_forgotten_]);
    return *lane.sizer;
  }

  // Lanes that were idle for long catch up here: memory stays bounded.
  void forget_what_all_know() {
    std::size_t n_bytes = 0;
    for (const std::string& text : appended_) n_bytes += text.size();
    if (appended_.size() < 256 && n_bytes < (std::size_t{1} << 20)) return;
    for (Lane& lane : lanes_) up_to_date(lane);
    if (judge_.sizer) up_to_date(judge_);
    n_forgotten_ += appended_.size();
    appended_.clear();
  }

  void judge(const std::string& text, const StoredSize& size) {
    const auto zlib_size = static_cast<double>(up_to_date(judge_).size_with(text));
    // zlib's own streams differ by a few bits from zlib.compress at a window's end: see deflate_size.h.
    if (zlib_size - size.stored_bytes <= 2 && size.stored_bytes - zlib_size <= 2) return;
    throw Error(ErrorKind::kUnsupported,
                "zlib " + std::string(zlibVersion()) + " needs " + std::to_string(zlib_size) + " bytes at level " +
                    std::to_string(level_) + " where zlib 1.2.13 needs " + std::to_string(size.stored_bytes),
                "another deflate is installed as zlib: use --by-zlib");
  }

  int level_;
  std::vector<Lane> lanes_;
  Lane judge_{nullptr, 0};
  std::int64_t raw_bytes_ = 0, n_calls_ = 0;
  std::deque<std::string> appended_;
  std::size_t n_forgotten_ = 0;
};

class DeflateCost final : public CostModel {
 public:
  DeflateCost(int level, int n_threads, bool by_zlib)
      : level_(level), n_lanes_(lanes_of(n_threads)), by_zlib_(by_zlib) {}
  std::unique_ptr<StoredSet> empty_set() const override {
    return std::make_unique<DeflateSet>(level_, n_lanes_, by_zlib_);
  }
  Json identity() const override { return {{"name", "zlib"}, {"level", level_}}; }

 private:
  int level_, n_lanes_;
  bool by_zlib_;
};

// ---- zstd

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDictionary {
  void operator()(ZSTD_CDict* dictionary) const { ZSTD_freeCDict(dictionary); }
};

class ZstdSet final : public StoredSet {
 public:
  ZstdSet(int level, std::int64_t window_bytes, int n_lanes)
      : level_(level), window_(static_cast<std::size_t>(window_bytes)) {
    for (int i = 0; i < n_lanes; ++i) {
      lanes_.push_back({std::unique_ptr<ZSTD_CCtx, FreeContext>(ZSTD_createCCtx()), {}});
      if (!lanes_.back().context) throw std::bad_alloc();
      ZSTD_CCtx_setParameter(lanes_.back().context.get(), ZSTD_c_compressionLevel, level);
      ZSTD_CCtx_setParameter(lanes_.back().context.get(), ZSTD_c_contentSizeFlag, 0);
    }
  }

  void append(std::string_view text) override {
    stored_bytes_ += size_of(lanes_[0], std::string(text));
    raw_bytes_ += std::ssize(text);
    tail_ += text;
    if (tail_.size() > window_) tail_.erase(0, tail_.size() - window_);
    is_stale_ = true;
  }

  std::vector<StoredSize> sizes_with(std::int64_t n, const TextOf& text) override {
    refresh();
    std::vector<StoredSize> sizes(static_cast<std::size_t>(n));
    over_lanes(n, static_cast<int>(lanes_.size()), [&](std::size_t lane, std::int64_t i) {
      const std::string bytes = text(i);
      sizes[static_cast<std::size_t>(i)] = {raw_bytes_ + std::ssize(bytes),
                                            stored_bytes_ + size_of(lanes_[lane], bytes)};
    });
    return sizes;
  }

 private:
  struct Lane {
    std::unique_ptr<ZSTD_CCtx, FreeContext> context;
    std::string output;
  };

  void refresh() {
    if (!is_stale_ || tail_.empty()) return;
    dictionary_.reset(ZSTD_createCDict(tail_.data(), tail_.size(), level_));
    if (!dictionary_) throw std::bad_alloc();
    for (Lane& lane : lanes_) ZSTD_CCtx_refCDict(lane.context.get(), dictionary_.get());
    is_stale_ = false;
  }

  double size_of(Lane& lane, const std::string& text) {
    refresh();
    lane.output.resize(std::max(lane.output.size(), ZSTD_compressBound(text.size())));
    const std::size_t size =
        ZSTD_compress2(lane.context.get(), lane.output.data(), lane.output.size(), text.data(), text.size());
    LMBITS_CHECK(!ZSTD_isError(size));
    return static_cast<double>(size) - 4;  // the magic number
  }

  int level_;
  std::size_t window_;
  std::vector<Lane> lanes_;
  std::unique_ptr<ZSTD_CDict, FreeDictionary> dictionary_;
  std::string tail_;  // the last `window_` bytes
  bool is_stale_ = false;
  std::int64_t raw_bytes_ = 0;
  double stored_bytes_ = 0.0;
};

class ZstdCost final : public CostModel {
 public:
  ZstdCost(int level, std::int64_t window_bytes, int n_threads)
      : level_(level), window_bytes_(window_bytes), n_lanes_(lanes_of(n_threads)) {}
  std::unique_ptr<StoredSet> empty_set() const override {
    return std::make_unique<ZstdSet>(level_, window_bytes_, n_lanes_);
  }
  Json identity() const override {
    return {{"name", "zstd"}, {"level", level_}, {"window_bytes", window_bytes_}, {"version", ZSTD_versionString()}};
  }

 private:
  int level_;
  std::int64_t window_bytes_;
  int n_lanes_;
};

// ---- A language model.

class ModelSet final : public StoredSet {
 public:
  explicit ModelSet(std::shared_ptr<ConditionalBits> bits) : bits_(std::move(bits)) {}

  void append(std::string_view text) override {
    stored_bytes_ += bits_->bits(tail_, {std::string(text)})[0] / 8;
    raw_bytes_ += std::ssize(text);
    tail_ += text;
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  }

  std::vector<StoredSize> sizes_with(std::int64_t n, const TextOf& text) override {
    std::vector<StoredSize> sizes;
    for (std::int64_t begin = 0; begin < n; begin += kTexts) {
      std::vector<std::string> texts;
      for (std::int64_t i = begin; i < std::min(n, begin + kTexts); ++i) texts.push_back(text(i));
      const std::vector<double> bits = bits_->bits(tail_, texts);
      for (std::size_t i = 0; i < texts.size(); ++i)
        sizes.push_back({raw_bytes_ + std::ssize(texts[i]), stored_bytes_ + bits[i] / 8});
    }
    return sizes;
  }

 private:
  static constexpr std::size_t kTailBytes = std::size_t{1} << 16;  // more than contexts hold
  static constexpr std::int64_t kTexts = 512;                      // in memory at a time

  std::shared_ptr<ConditionalBits> bits_;
  std::string tail_;
  std::int64_t raw_bytes_ = 0;
  double stored_bytes_ = 0.0;
};

class ModelCost final : public CostModel {
 public:
  explicit ModelCost(std::shared_ptr<ConditionalBits> bits) : bits_(std::move(bits)) {}
  std::unique_ptr<StoredSet> empty_set() const override { return std::make_unique<ModelSet>(bits_); }
  Json identity() const override { return bits_->identity(); }

 private:
  std::shared_ptr<ConditionalBits> bits_;
};

}  // namespace

std::unique_ptr<CostModel> make_deflate_cost(int level, int n_threads, bool by_zlib) {
  return std::make_unique<DeflateCost>(level, n_threads, by_zlib);
}

std::unique_ptr<CostModel> make_zstd_cost(int level, std::int64_t window_bytes, int n_threads) {
  return std::make_unique<ZstdCost>(level, window_bytes, n_threads);
}

std::unique_ptr<CostModel> make_model_cost(std::shared_ptr<ConditionalBits> bits) {
  return std::make_unique<ModelCost>(std::move(bits));
}

}  // namespace lmbits
