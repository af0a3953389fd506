#include "src/tokenizer/remembering_tokenizer.h"

#include <map>
#include <mutex>
#include <utility>

#include "src/core/hash.h"

namespace lmbits {
namespace {

// Hands every call on.
class SharedTokenizer : public Tokenizer {
 public:
  explicit SharedTokenizer(std::shared_ptr<Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}
  Tokens encode(std::string_view text) const override { return tokenizer_->encode(text); }
  std::string decode(std::span<const std::int32_t> ids) const override { return tokenizer_->decode(ids); }
  std::string kind() const override { return tokenizer_->kind(); }
  std::string fingerprint() const override { return tokenizer_->fingerprint(); }
  std::int64_t vocab_size() const override { return tokenizer_->vocab_size(); }
  std::optional<std::int32_t> bos_id() const override { return tokenizer_->bos_id(); }
  std::optional<std::int32_t> eos_id() const override { return tokenizer_->eos_id(); }
  std::string piece(std::int32_t id) const override { return tokenizer_->piece(id); }

 private:
  std::shared_ptr<Tokenizer> tokenizer_;
};

class RememberingTokenizer final : public SharedTokenizer {
 public:
  RememberingTokenizer(std::unique_ptr<Tokenizer> tokenizer, std::size_t capacity_bytes)
      : SharedTokenizer(std::move(tokenizer)), free_bytes_(capacity_bytes) {}

  Tokens encode(std::string_view text) const override {
    const auto key = std::pair(text.size(), Fingerprint().add(text).hex());
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = seen_.find(key); found != seen_.end()) return found->second;
    }
    Tokens tokens = SharedTokenizer::encode(text);
    const std::size_t n_bytes = 128 + (tokens.ids.size() + tokens.n_bytes.size()) * sizeof(std::int32_t);
    const std::lock_guard lock(mutex_);
    if (n_bytes <= free_bytes_ && seen_.emplace(key, tokens).second) free_bytes_ -= n_bytes;
    return tokens;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::pair<std::size_t, std::string>, Tokens> seen_;
  mutable std::size_t free_bytes_;
};

}  // namespace

std::shared_ptr<Tokenizer> make_remembering_tokenizer(std::unique_ptr<Tokenizer> tokenizer,
                                                      std::size_t capacity_bytes) {
  return std::make_shared<RememberingTokenizer>(std::move(tokenizer), capacity_bytes);
}

std::unique_ptr<Tokenizer> share_tokenizer(std::shared_ptr<Tokenizer> tokenizer) {
  return std::make_unique<SharedTokenizer>(std::move(tokenizer));
}

}  // namespace lmbits
