#include "src/model/weightless.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "kernels/cdf.h"
#include "src/core/error.h"
#include "src/core/hash.h"

namespace lmbits {
namespace {

constexpr std::int64_t kAnyContext = 1 << 16;

// Both models feed BOS as the id after the last one that can be predicted.
class ByteModel : public LanguageModel {
 protected:
  ByteModel(const std::string& name, std::int64_t vocab_size) {
    info_.name = name;
    info_.context_length = kAnyContext;
    info_.vocab_size = vocab_size;
    info_.bos_id = static_cast<std::int32_t>(vocab_size);
    info_.dtype = "float64";
    tokenizer_ = make_byte_tokenizer(vocab_size + 1, info_.bos_id, std::nullopt);
  }
  void require_cached(std::optional<Decoding> wanted) const {
    if (wanted && *wanted != Decoding::kCached)
      throw Error(ErrorKind::kUnsupported, info_.name + " has no weights, and is decoded in one way only",
                  "leave --decoding out");
  }
};

// Logits that depend on the last id alone: row id of a table [n_ids, vocab_size], or its only one.
class TablePredictor final : public Predictor {
 public:
  TablePredictor(const std::vector<float>& table, std::int64_t vocab_size)
      : table_(table), vocab_size_(static_cast<std::size_t>(vocab_size)) {}
  Decoding decoding() const override { return Decoding::kCached; }
  void predict(const Batch& batch, const Use& use) override {
    for (std::size_t i = 0; i < batch.rows.size(); ++i)
      use(i, after(batch.ids[static_cast<std::size_t>(batch.rows[i])]));
  }
  void start(std::int64_t, std::int64_t) override {}
  void step(std::span<const Step> steps, const Use& use) override {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].wanted) use(i, after(steps[i].id));
    }
  }
  std::int64_t slot_bytes(std::int64_t) const override { return 0; }

 private:
  std::span<const float> after(std::int64_t id) const {
    const std::size_t row = table_.size() == vocab_size_ ? 0 : static_cast<std::size_t>(id);
    return std::span(table_).subspan(row * vocab_size_, vocab_size_);
  }
  const std::vector<float>& table_;
  std::size_t vocab_size_;
};

class UniformModel final : public ByteModel {
 public:
  UniformModel(const std::string& name, std::int64_t vocab_size)
      : ByteModel(name.empty() ? "uniform-" + std::to_string(vocab_size) : name, vocab_size),
        bits_(std::log2(static_cast<double>(vocab_size))) {
    info_.fingerprint = Fingerprint().add("uniform-" + std::to_string(vocab_size)).hex();
  }
  void score(const Batch& batch, std::vector<double>& bits, std::vector<std::uint8_t>* most_probable) const override {
    bits.assign(batch.rows.size(), bits_);
    if (most_probable != nullptr) most_probable->assign(batch.rows.size(), 1);
  }

  std::unique_ptr<Predictor> predictor(std::optional<Decoding> wanted) const override {
    require_cached(wanted);
    if (info_.vocab_size > kernels::kMaxCdfVocab) {
      throw Error(ErrorKind::kConfig,
                  info_.name + " has " + std::to_string(info_.vocab_size) + " ids, coding takes up to " +
                      std::to_string(kernels::kMaxCdfVocab),
                  "give a smaller one");
    }
    std::call_once(logits_once_, [this] { logits_.assign(static_cast<std::size_t>(info_.vocab_size), 0.0F); });
    return std::make_unique<TablePredictor>(logits_, info_.vocab_size);
  }

 private:
  double bits_;
  mutable std::vector<float> logits_;
  mutable std::once_flag logits_once_;
};

class BigramModel final : public ByteModel {
 public:
  BigramModel(const std::string& name, const std::string& text) : ByteModel(name, 256) {
    info_.fingerprint = Fingerprint().add("bigram").add(text).hex();
    std::vector<std::array<std::int64_t, 256>> counts(257);  // row 256: after BOS
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      ++counts[256][byte];
      if (i > 0) ++counts[static_cast<unsigned char>(text[i - 1])][byte];
    }
    bits_.resize(counts.size());
    for (std::size_t a = 0; a < counts.size(); ++a) {
      std::int64_t n = 0;
      for (const std::int64_t count : counts[a]) n += count;
      for (std::size_t b = 0; b < 256; ++b) {
        const double inverse = static_cast<double>(n + 256) / static_cast<double>(counts[a][b] + 1);
        bits_[a][b] = std::log2(inverse);
        logits_.push_back(static_cast<float>(-std::log(inverse)));
      }
    }
  }
  void score(const Batch& batch, std::vector<double>& bits, std::vector<std::uint8_t>* most_probable) const override {
    bits.resize(batch.rows.size());
    if (most_probable != nullptr) most_probable->resize(batch.rows.size());
    for (std::size_t i = 0; i < batch.rows.size(); ++i) {
      const auto context = static_cast<std::size_t>(batch.ids[static_cast<std::size_t>(batch.rows[i])]);
      const std::array<double, 256>& row = bits_[context];
      bits[i] = row[static_cast<std::size_t>(batch.targets[i])];
      if (most_probable != nullptr) (*most_probable)[i] = bits[i] <= *std::min_element(row.begin(), row.end());
    }
  }

  std::unique_ptr<Predictor> predictor(std::optional<Decoding> wanted) const override {
    require_cached(wanted);
    return std::make_unique<TablePredictor>(logits_, info_.vocab_size);
  }

 private:
  std::vector<float> logits_;                  // [257][256] ln p(column | row)
  std::vector<std::array<double, 256>> bits_;  // [257][256] -log2 p(column | row)
};

}  // namespace

std::unique_ptr<LanguageModel> make_uniform_model(const std::string& name, std::int64_t vocab_size) {
  if (vocab_size < 256 || vocab_size > (std::int64_t{1} << 30)) {
    throw Error(ErrorKind::kConfig, "uniform:" + std::to_string(vocab_size) + " has no token for some bytes",
                "give a vocabulary of 256 or more, for example uniform:256");
  }
  return std::make_unique<UniformModel>(name, vocab_size);
}

std::unique_ptr<LanguageModel> make_bigram_model(const std::string& name, const std::string& training_bytes) {
  return std::make_unique<BigramModel>(name, training_bytes);
}

}  // namespace lmbits
