// Text to token ids and back.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct Tokens {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> n_bytes;  // source bytes of each token; they sum to the text's bytes where `lossless`
  bool lossless = true;               // decode(ids) == text, byte for byte
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text` without BOS or EOS. Thread-safe. Any bytes are accepted: what invalid UTF-8 becomes is the
  // implementation's documented behaviour. Losslessness is checked on every call, not assumed.
  virtual Tokens encode(std::string_view text) const = 0;
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  virtual std::string kind() const = 0;         // "bytes", "sentencepiece"
  virtual std::string fingerprint() const = 0;  // 32 hex digits: equal for equal behaviour
  virtual std::int64_t vocab_size() const = 0;  // ids are in [0, vocab_size)
  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;
  virtual std::string piece(std::int32_t id) const = 0;  // for people: the bytes of the id, or <name>
};

// The bytes themselves: id = byte. `vocab_size` >= 256; ids from 256 on are special (BOS, EOS).
std::unique_ptr<Tokenizer> make_byte_tokenizer(std::int64_t vocab_size, std::optional<std::int32_t> bos_id,
                                               std::optional<std::int32_t> eos_id);

// A SentencePiece .model from its file's bytes. Throws Error(kModel) when it is none.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& model_file_bytes);

}  // namespace lmbits
