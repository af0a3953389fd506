#include "src/core/error.h"
#include "src/tokenizer/fingerprint.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {
namespace {

constexpr std::int32_t kBytes = 256;

std::string id_or_none(std::optional<std::int32_t> id) { return id ? std::to_string(*id) : "none"; }

class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer(std::int64_t vocab_size, std::optional<std::int32_t> bos_id, std::optional<std::int32_t> eos_id)
      : vocab_size_(vocab_size), bos_id_(bos_id), eos_id_(eos_id) {}

  Tokens encode(std::string_view text) const override {
    Tokens tokens;
    tokens.ids.reserve(text.size());
    for (const char c : text) tokens.ids.push_back(static_cast<unsigned char>(c));
    tokens.n_bytes.assign(text.size(), 1);
    tokens.lossless = true;  // by construction: decode() is the same map backwards
    return tokens;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    text.reserve(ids.size());
    for (const std::int32_t id : ids) {
      check_token_id(id, vocab_size_);
      if (id < kBytes) text.push_back(static_cast<char>(id));
    }
    return text;
  }

  std::string kind() const override { return "bytes"; }

  std::string fingerprint() const override {
    return tokenizer_fingerprint(
        kind(), "vocab " + std::to_string(vocab_size_) + " bos " + id_or_none(bos_id_) + " eos " + id_or_none(eos_id_));
  }

  std::int64_t vocab_size() const override { return vocab_size_; }
  std::optional<std::int32_t> bos_id() const override { return bos_id_; }
  std::optional<std::int32_t> eos_id() const override { return eos_id_; }

  std::string piece(std::int32_t id) const override {
    check_token_id(id, vocab_size_);
    if (id < kBytes) return std::string(1, static_cast<char>(id));
    if (id == bos_id_) return "<bos>";
    if (id == eos_id_) return "<eos>";
    return "<" + std::to_string(id) + ">";
  }

 private:
  std::int64_t vocab_size_;
  std::optional<std::int32_t> bos_id_, eos_id_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_byte_tokenizer(std::int64_t vocab_size, std::optional<std::int32_t> bos_id,
                                               std::optional<std::int32_t> eos_id) {
  if (vocab_size < kBytes) {
    throw Error(ErrorKind::kModel,
                "the byte tokenizer needs 256 ids but the vocabulary has " + std::to_string(vocab_size),
                "check vocab_size and the tokenizer's kind in lmbits.json");
  }
  for (const auto& [name, id] : {std::pair{"bos_id", bos_id}, {"eos_id", eos_id}}) {
    if (id && (*id < 0 || *id >= vocab_size)) {
      throw Error(ErrorKind::kModel,
                  std::string(name) + " is " + std::to_string(*id) + " but the vocabulary has " +
                      std::to_string(vocab_size) + " ids",
                  "check lmbits.json");
    }
  }
  return std::make_unique<ByteTokenizer>(vocab_size, bos_id, eos_id);
}

}  // namespace lmbits
