#include "src/model/weightless.h"

#include <algorithm>
#include <array>
#include <cmath>

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

 private:
  double bits_;
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
        bits_[a][b] = std::log2(static_cast<double>(n + 256) / static_cast<double>(counts[a][b] + 1));
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

 private:
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
