#include "src/coding/baselines.h"

#include <brotli/encode.h>
#include <bzlib.h>
#include <lzma.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "src/coding/context_mixing.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/core/thread_pool.h"

namespace lmbits {

class ZstdDictionary {
 public:
  ZstdDictionary(std::string_view bytes, int level)
      : digested_(ZSTD_createCDict(bytes.data(), bytes.size(), level), ZSTD_freeCDict) {
    if (!digested_) throw std::bad_alloc();
    // The window spans the dictionary and as much text as level 22's own window, where the format's limit allows.
    const auto span = static_cast<std::uint64_t>(bytes.size()) + (std::uint64_t{1} << 27);
    window_log_ = std::min(static_cast<int>(std::bit_width(span)), ZSTD_cParam_getBounds(ZSTD_c_windowLog).upperBound);
  }

  const ZSTD_CDict* digested() const { return digested_.get(); }
  int window_log() const { return window_log_; }

 private:
  std::unique_ptr<ZSTD_CDict, decltype(&ZSTD_freeCDict)> digested_;
  int window_log_;
};

namespace {

constexpr std::size_t kOutputBytes = 64 * 1024;
constexpr std::size_t kChunkBytes = 1024 * 1024;  // what a codec is given at a time; also keeps sizes within 32 bits

// The part that is the same for all codecs: cutting the input into chunks, and the buffer for the output.
class BufferedCompressor : public Compressor {
 public:
  explicit BufferedCompressor(Sink sink) : sink_(std::move(sink)), output_(kOutputBytes, '\0') {}

  void add(std::string_view bytes) final {
    for (std::size_t begin = 0; begin < bytes.size(); begin += kChunkBytes) feed(bytes.substr(begin, kChunkBytes));
  }

 protected:
  virtual void feed(std::string_view chunk) = 0;

  char* output() { return output_.data(); }
  void emit(std::size_t n_bytes) {
    if (n_bytes > 0) sink_(std::string_view(output_.data(), n_bytes));
  }

 private:
  Sink sink_;
  std::string output_;
};

class GzipCompressor final : public BufferedCompressor {
 public:
  GzipCompressor(int level, Sink sink) : BufferedCompressor(std::move(sink)) {
    constexpr int kWindowBits = 15 + 16;  // 32 KiB; +16: a gzip header and trailer
    constexpr int kMemLevel = 8;          // zlib's default, which gzip uses too
    const int status = deflateInit2(&stream_, level, Z_DEFLATED, kWindowBits, kMemLevel, Z_DEFAULT_STRATEGY);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    LMBITS_CHECK(status == Z_OK);
  }
  ~GzipCompressor() override { deflateEnd(&stream_); }

  void finish() override {
    run({}, Z_FINISH);
    LMBITS_CHECK(deflateReset(&stream_) == Z_OK);
  }

 protected:
  void feed(std::string_view chunk) override { run(chunk, Z_NO_FLUSH); }

 private:
  void run(std::string_view chunk, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk.data()));  // zlib does not write to it
    stream_.avail_in = static_cast<uInt>(chunk.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(output());
      stream_.avail_out = kOutputBytes;
      LMBITS_CHECK(deflate(&stream_, flush) != Z_STREAM_ERROR);
      emit(kOutputBytes - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

  z_stream stream_{};
};

class Bzip2Compressor final : public BufferedCompressor {
 public:
  Bzip2Compressor(int level, Sink sink) : BufferedCompressor(std::move(sink)), level_(level) {}
  ~Bzip2Compressor() override {
    if (stream_) BZ2_bzCompressEnd(&*stream_);
  }

  void finish() override {
    int status = BZ_FINISH_OK;
    while (status != BZ_STREAM_END) {
      status = step({}, BZ_FINISH);
      LMBITS_CHECK(status == BZ_FINISH_OK || status == BZ_STREAM_END);
    }
    BZ2_bzCompressEnd(&*stream_);
    stream_.reset();
  }

 protected:
  void feed(std::string_view chunk) override {
    do {
      LMBITS_CHECK(step(chunk, BZ_RUN) == BZ_RUN_OK);
      chunk.remove_prefix(chunk.size() - stream_->avail_in);
    } while (!chunk.empty());
  }

 private:
  int step(std::string_view chunk, int action) {
    if (!stream_) open();
    stream_->next_in = const_cast<char*>(chunk.data());  // bzip2 does not write to it
    stream_->avail_in = static_cast<unsigned>(chunk.size());
    stream_->next_out = output();
    stream_->avail_out = kOutputBytes;
    const int status = BZ2_bzCompress(&*stream_, action);
    emit(kOutputBytes - stream_->avail_out);
    return status;
  }

  void open() {  // bzip2 has no reset: each text has its own stream
    stream_.emplace();
    const int status = BZ2_bzCompressInit(&*stream_, level_, /*verbosity=*/0, /*workFactor=*/0);
    if (status == BZ_MEM_ERROR) throw std::bad_alloc();
    LMBITS_CHECK(status == BZ_OK);
  }

  int level_;
  std::optional<bz_stream> stream_;
};

class ZstdCompressor final : public BufferedCompressor {
 public:
  ZstdCompressor(int level, std::shared_ptr<const ZstdDictionary> dictionary, Sink sink)
      : BufferedCompressor(std::move(sink)),
        dictionary_(std::move(dictionary)),
        context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (!context_) throw std::bad_alloc();
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level));
    if (!dictionary_) return;
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, dictionary_->window_log()));
    checked(ZSTD_CCtx_refCDict(context_.get(), dictionary_->digested()));
  }

  // No ZSTD_e_end while there is input: the library would take the text's size from it, and choose other tables.
  void finish() override { run({}, ZSTD_e_end); }

 protected:
  void feed(std::string_view chunk) override { run(chunk, ZSTD_e_continue); }

 private:
  static std::size_t checked(std::size_t result) {
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    LMBITS_CHECK(!ZSTD_isError(result));
    return result;
  }

  void run(std::string_view chunk, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{chunk.data(), chunk.size(), 0};
    std::size_t left = 0;
    do {
      ZSTD_outBuffer out{output(), kOutputBytes, 0};
      left = checked(ZSTD_compressStream2(context_.get(), &out, &in, directive));
      emit(out.pos);
    } while (directive == ZSTD_e_end ? left > 0 : in.pos < in.size);
  }

  std::shared_ptr<const ZstdDictionary> dictionary_;  // must outlive the context, which refers to it
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_;
};

class XzCompressor final : public BufferedCompressor {
 public:
  XzCompressor(std::uint32_t preset, Sink sink) : BufferedCompressor(std::move(sink)) {
    LMBITS_CHECK(!lzma_lzma_preset(&options_, preset));
    preset_window_ = options_.dict_size;
  }
  ~XzCompressor() override { lzma_end(&stream_); }

  void expect(std::int64_t max_bytes) override { max_bytes_ = max_bytes; }

  void finish() override {
    open();
    lzma_ret status = LZMA_OK;
    while (status != LZMA_STREAM_END) status = step(LZMA_FINISH);
    is_open_ = false;
    max_bytes_ = std::numeric_limits<std::int64_t>::max();
  }

 protected:
  void feed(std::string_view chunk) override {
    open();
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(chunk.data());
    stream_.avail_in = chunk.size();
    while (stream_.avail_in > 0) step(LZMA_RUN);
  }

 private:
  void open() {  // liblzma takes the tables of the stream before into the new one
    if (is_open_) return;
    options_.dict_size =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(max_bytes_, LZMA_DICT_SIZE_MIN, preset_window_));
    const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options_}, {LZMA_VLI_UNKNOWN, nullptr}};
    check(lzma_stream_encoder(&stream_, filters, LZMA_CHECK_CRC64));
    is_open_ = true;
  }

  lzma_ret step(lzma_action action) {
    stream_.next_out = reinterpret_cast<std::uint8_t*>(output());
    stream_.avail_out = kOutputBytes;
    const lzma_ret status = lzma_code(&stream_, action);
    check(status);
    emit(kOutputBytes - stream_.avail_out);
    return status;
  }

  static void check(lzma_ret status) {
    if (status == LZMA_MEM_ERROR) throw std::bad_alloc();
    LMBITS_CHECK(status == LZMA_OK || status == LZMA_STREAM_END);
  }

  lzma_options_lzma options_{};
  std::int64_t preset_window_ = 0;
  std::int64_t max_bytes_ = std::numeric_limits<std::int64_t>::max();
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool is_open_ = false;
};

class BrotliCompressor final : public BufferedCompressor {
 public:
  BrotliCompressor(int quality, Sink sink) : BufferedCompressor(std::move(sink)), quality_(quality) {}

  void finish() override {
    do {
      step({}, BROTLI_OPERATION_FINISH);
    } while (!BrotliEncoderIsFinished(state_.get()));
    state_.reset();
  }

 protected:
  void feed(std::string_view chunk) override {
    do {
      chunk = step(chunk, BROTLI_OPERATION_PROCESS);
    } while (!chunk.empty() || BrotliEncoderHasMoreOutput(state_.get()));
  }

 private:
  std::string_view step(std::string_view chunk, BrotliEncoderOperation operation) {
    if (!state_) open();
    std::size_t n_in = chunk.size(), n_out = kOutputBytes;
    auto* next_in = reinterpret_cast<const std::uint8_t*>(chunk.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(output());
    // It fails for want of memory alone: the calls are in order and the parameters valid.
    if (!BrotliEncoderCompressStream(state_.get(), operation, &n_in, &next_in, &n_out, &next_out, nullptr))
      throw std::bad_alloc();
    emit(kOutputBytes - n_out);
    return chunk.substr(chunk.size() - n_in);
  }

  void open() {  // brotli has no reset: each text has its own state
    state_.reset(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr));
    if (!state_) throw std::bad_alloc();
    LMBITS_CHECK(BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, static_cast<std::uint32_t>(quality_)));
    LMBITS_CHECK(BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_LGWIN, BROTLI_MAX_WINDOW_BITS));
  }

  struct Destroy {
    void operator()(BrotliEncoderState* state) const { BrotliEncoderDestroyInstance(state); }
  };
  int quality_;
  std::unique_ptr<BrotliEncoderState, Destroy> state_;
};

// For codecs that see all of a text before they begin.
class WholeTextCompressor final : public Compressor {
 public:
  using Function = std::string (*)(std::string_view text);
  WholeTextCompressor(Function compress, Sink sink) : compress_(compress), sink_(std::move(sink)) {}
  void add(std::string_view bytes) override { text_ += bytes; }
  void finish() override {
    sink_(compress_(text_));
    text_.clear();
  }

 private:
  Function compress_;
  Sink sink_;
  std::string text_;
};

// What `zstd --ultra -22 --long=31` writes for a file, less its checksum: the window is as long as the text.
std::string zstd_long(std::string_view text) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (!context) throw std::bad_alloc();
  const auto set = [&](ZSTD_cParameter parameter, int value) {
    LMBITS_CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), parameter, value)));
  };
  set(ZSTD_c_compressionLevel, 22);
  set(ZSTD_c_enableLongDistanceMatching, 1);
  set(ZSTD_c_windowLog, ZSTD_cParam_getBounds(ZSTD_c_windowLog).upperBound);
  std::string bytes(ZSTD_compressBound(text.size()), '\0');
  const std::size_t n = ZSTD_compress2(context.get(), bytes.data(), bytes.size(), text.data(), text.size());
  if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  LMBITS_CHECK(!ZSTD_isError(n));
  bytes.resize(n);
  return bytes;
}

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// "gzip" for gzip-9: what stands before the level.
std::string family_name(const BaselineCodec& codec) { return codec.name.substr(0, codec.name.find('-')); }

}  // namespace

const std::vector<BaselineCodec>& baseline_codecs() {
  using enum BaselineCodec::Family;
  static const std::vector<BaselineCodec> codecs = {
      {"gzip-1", kGzip, 1, nullptr},       {"gzip-6", kGzip, 6, nullptr},
      {"gzip-9", kGzip, 9, nullptr},       {"bzip2-9", kBzip2, 9, nullptr},
      {"zstd-3", kZstd, 3, nullptr},       {"zstd-19", kZstd, 19, nullptr},
      {"xz-6", kXz, 6, nullptr},           {"xz-9e", kXz, static_cast<int>(9u | LZMA_PRESET_EXTREME), nullptr},
      {"brotli-11", kBrotli, 11, nullptr},
  };
  return codecs;
}

const std::vector<BaselineCodec>& strong_codecs() {
  using enum BaselineCodec::Family;
  static const std::vector<BaselineCodec> codecs = {{"zstd-22-long", kZstdLong, 22, nullptr},
                                                    {"cm", kContextMixing, 0, nullptr}};
  return codecs;
}

BaselineCodec zstd_dictionary_codec(std::string_view dictionary) {
  constexpr int kLevel = 22;
  if (dictionary.empty())
    throw Error(ErrorKind::kData, "the dictionary is empty", "give a file that holds training text");
  return {"zstd-22-dict", BaselineCodec::Family::kZstd, kLevel,
          std::make_shared<const ZstdDictionary>(dictionary, kLevel)};
}

std::vector<BaselineCodec> select_codecs(const std::vector<std::string>& names) {
  if (names.empty()) return baseline_codecs();
  std::vector<BaselineCodec> all = baseline_codecs();
  all.insert(all.end(), strong_codecs().begin(), strong_codecs().end());
  const auto named = [](const BaselineCodec& codec, const std::string& name) {
    const bool strong = codec.family == BaselineCodec::Family::kZstdLong;  // "zstd" does not mean it
    return name == codec.name || (!strong && name == family_name(codec));
  };
  for (const std::string& name : names) {
    std::vector<std::string> known;
    for (const BaselineCodec& codec : all) {
      known.push_back(codec.name);
      if (std::find(known.begin(), known.end(), family_name(codec)) == known.end()) known.push_back(family_name(codec));
    }
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw Error(ErrorKind::kUsage, "unknown codec " + name, suggestion(name, known));
  }
  std::vector<BaselineCodec> selected;
  std::copy_if(all.begin(), all.end(), std::back_inserter(selected), [&](const auto& codec) {
    return std::any_of(names.begin(), names.end(), [&](const auto& name) { return named(codec, name); });
  });
  return selected;
}

std::unique_ptr<Compressor> make_compressor(const BaselineCodec& codec, Compressor::Sink sink) {
  switch (codec.family) {
    case BaselineCodec::Family::kGzip:
      return std::make_unique<GzipCompressor>(codec.level, std::move(sink));
    case BaselineCodec::Family::kBzip2:
      return std::make_unique<Bzip2Compressor>(codec.level, std::move(sink));
    case BaselineCodec::Family::kZstd:
      return std::make_unique<ZstdCompressor>(codec.level, codec.dictionary, std::move(sink));
    case BaselineCodec::Family::kXz:
      return std::make_unique<XzCompressor>(static_cast<std::uint32_t>(codec.level), std::move(sink));
    case BaselineCodec::Family::kBrotli:
      return std::make_unique<BrotliCompressor>(codec.level, std::move(sink));
    case BaselineCodec::Family::kZstdLong:
      return std::make_unique<WholeTextCompressor>(zstd_long, std::move(sink));
    case BaselineCodec::Family::kContextMixing:
      return std::make_unique<WholeTextCompressor>(mix_compress, std::move(sink));
  }
  throw std::logic_error("a codec of no known family");
}

std::int64_t compressed_size(const BaselineCodec& codec, std::string_view bytes) {
  std::int64_t n_bytes = 0;
  const auto compressor = make_compressor(codec, [&](std::string_view piece) { n_bytes += std::ssize(piece); });
  compressor->expect(std::ssize(bytes));
  compressor->add(bytes);
  compressor->finish();
  return n_bytes;
}

// One codec at work: what it has put out since its last text began, and the time it took in all.
class CodecCounter {
 public:
  explicit CodecCounter(const BaselineCodec& codec)
      : name_(codec.name),
        compressor_(make_compressor(codec, [this](std::string_view piece) { n_bytes_ += std::ssize(piece); })) {}
  CodecCounter(const CodecCounter&) = delete;
  CodecCounter& operator=(const CodecCounter&) = delete;

  const std::string& name() const { return name_; }
  double cpu_seconds() const { return cpu_seconds_; }
  void expect(std::int64_t max_bytes) { compressor_->expect(max_bytes); }

  void add(std::string_view bytes) {
    const double start = thread_cpu_seconds();
    compressor_->add(bytes);
    cpu_seconds_ += thread_cpu_seconds() - start;
  }

  std::int64_t finish() {
    const double start = thread_cpu_seconds();
    compressor_->finish();
    cpu_seconds_ += thread_cpu_seconds() - start;
    return std::exchange(n_bytes_, 0);
  }

 private:
  std::string name_;
  std::int64_t n_bytes_ = 0;
  double cpu_seconds_ = 0.0;
  std::unique_ptr<Compressor> compressor_;
};

namespace {

using Counters = std::vector<std::unique_ptr<CodecCounter>>;

Counters make_counters(const std::vector<BaselineCodec>& codecs) {
  Counters counters;
  for (const BaselineCodec& codec : codecs) counters.push_back(std::make_unique<CodecCounter>(codec));
  return counters;
}

std::map<std::string, double> cpu_seconds_of(const Counters& counters) {
  std::map<std::string, double> seconds;
  for (const auto& counter : counters) seconds[counter->name()] = counter->cpu_seconds();
  return seconds;
}

}  // namespace

DocumentBaselines::DocumentBaselines(const std::vector<BaselineCodec>& codecs) : counters_(make_counters(codecs)) {}
DocumentBaselines::~DocumentBaselines() = default;
DocumentBaselines::DocumentBaselines(DocumentBaselines&&) noexcept = default;

std::map<std::string, std::int64_t> DocumentBaselines::sizes(std::string_view document) {
  std::map<std::string, std::int64_t> sizes;
  for (const auto& counter : counters_) {
    counter->expect(std::ssize(document));
    counter->add(document);
    sizes[counter->name()] = counter->finish();
  }
  return sizes;
}

std::map<std::string, double> DocumentBaselines::cpu_seconds() const { return cpu_seconds_of(counters_); }

// One codec on one thread: every n_threads-th document of a batch.
struct PerDocumentBaselines::Lane {
  std::string name;
  std::size_t first;  // document of a batch
  DocumentBaselines baselines;
  std::int64_t n_bytes = 0;
};

PerDocumentBaselines::PerDocumentBaselines(const std::vector<BaselineCodec>& codecs, int n_threads)
    : n_threads_(n_threads > 0 ? n_threads : available_threads()) {
  for (auto codec = codecs.rbegin(); codec != codecs.rend(); ++codec)  // the slowest start first
    for (std::size_t first = 0; first < static_cast<std::size_t>(n_threads_); ++first)
      lanes_.push_back({codec->name, first, DocumentBaselines({*codec})});
}
PerDocumentBaselines::~PerDocumentBaselines() = default;

void PerDocumentBaselines::add(std::string document) {
  n_pending_bytes_ += document.size();
  pending_.push_back(std::move(document));
  constexpr std::size_t kMaxDocuments = 1024;
  if (n_pending_bytes_ >= kChunkBytes || pending_.size() == kMaxDocuments) flush();
}

void PerDocumentBaselines::flush() {
  parallel_for(std::ssize(lanes_), n_threads_, [&](std::int64_t i) {
    Lane& lane = lanes_[static_cast<std::size_t>(i)];
    for (std::size_t d = lane.first; d < pending_.size(); d += static_cast<std::size_t>(n_threads_))
      lane.n_bytes += lane.baselines.sizes(pending_[d]).at(lane.name);
  });
  pending_.clear();
  n_pending_bytes_ = 0;
}

std::map<std::string, std::int64_t> PerDocumentBaselines::finish() {
  flush();
  std::map<std::string, std::int64_t> sums;
  for (const Lane& lane : lanes_) sums[lane.name] += lane.n_bytes;
  return sums;
}

std::map<std::string, double> PerDocumentBaselines::cpu_seconds() const {
  std::map<std::string, double> seconds;
  for (const Lane& lane : lanes_) seconds[lane.name] += lane.baselines.cpu_seconds().at(lane.name);
  return seconds;
}

WholeCorpusBaselines::WholeCorpusBaselines(const std::vector<BaselineCodec>& codecs, int n_threads)
    : counters_(make_counters(codecs)), n_threads_(n_threads) {}
WholeCorpusBaselines::~WholeCorpusBaselines() = default;

void WholeCorpusBaselines::add(std::string_view document) {
  while (!document.empty()) {
    const std::string_view piece = document.substr(0, kChunkBytes - pending_.size());
    pending_.append(piece);
    document.remove_prefix(piece.size());
    if (pending_.size() == kChunkBytes) flush();
  }
}

void WholeCorpusBaselines::flush() {
  // From the last, the slowest, to the first: the quick ones fill what time is left on the other threads.
  const std::int64_t last = std::ssize(counters_) - 1;
  parallel_for(std::ssize(counters_), n_threads_,
               [&](std::int64_t i) { counters_[static_cast<std::size_t>(last - i)]->add(pending_); });
  pending_.clear();
}

std::map<std::string, std::int64_t> WholeCorpusBaselines::finish() {
  flush();
  std::vector<std::int64_t> sizes(counters_.size());
  parallel_for(std::ssize(counters_), n_threads_, [&](std::int64_t i) {
    const auto c = counters_.size() - 1 - static_cast<std::size_t>(i);
    sizes[c] = counters_[c]->finish();
  });
  std::map<std::string, std::int64_t> by_name;
  for (std::size_t c = 0; c < counters_.size(); ++c) by_name[counters_[c]->name()] = sizes[c];
  return by_name;
}

std::map<std::string, double> WholeCorpusBaselines::cpu_seconds() const { return cpu_seconds_of(counters_); }

Json codec_versions() {
  const auto brotli = BrotliEncoderVersion();    // 0xMMMmmmppp
  const std::string bzip2 = BZ2_bzlibVersion();  // "1.0.8, 13-Jul-2019"
  return {{"zlib", zlibVersion()},
          {"bzip2", bzip2.substr(0, bzip2.find(','))},
          {"zstd", ZSTD_versionString()},
          {"liblzma", lzma_version_string()},
          {"cm", std::to_string(kContextMixingVersion)},
          {"brotli", std::to_string(brotli >> 24) + "." + std::to_string(brotli >> 12 & 0xfff) + "." +
                         std::to_string(brotli & 0xfff)}};
}

}  // namespace lmbits
