#include "src/scoring/block_text.h"

#include <algorithm>
#include <optional>

#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr std::size_t kSmallestPart = 16;  // bytes: halving further would cost more than it saves

class Reader {
 public:
  Reader(const Tokenizer& tokenizer, std::int64_t vocab_size) : tokenizer_(tokenizer), vocab_size_(vocab_size) {}

  void read(std::string_view text) {
    if (text.empty()) return;
    if (const auto ids = encode(text)) {
      block_.ids.insert(block_.ids.end(), ids->begin(), ids->end());
      block_.pieces.push_back({std::ssize(*ids), 0});
    } else if (text.size() <= kSmallestPart) {
      block_.escaped += text;
      if (block_.pieces.empty()) block_.pieces.push_back({0, 0});
      block_.pieces.back().n_escaped += std::ssize(text);
    } else {
      const std::size_t half = character_start(text, text.size() / 2);
      read(text.substr(0, half));
      read(text.substr(half));
    }
  }

  BlockText take() { return std::move(block_); }

 private:
  // The ids, where they give the text back and each has a place in the model's vocabulary.
  std::optional<std::vector<std::int32_t>> encode(std::string_view text) const {
    Tokens tokens;
    try {
      tokens = tokenizer_.encode(text);
    } catch (const Error&) {
      return std::nullopt;  // a tokenizer without byte fallback
    }
    const bool fits = std::ranges::all_of(tokens.ids, [&](std::int32_t id) { return id >= 0 && id < vocab_size_; });
    if (!tokens.lossless || !fits || tokens.ids.size() > max_ids(text.size())) return std::nullopt;
    return std::move(tokens.ids);
  }

  static std::size_t max_ids(std::size_t n_bytes) { return n_bytes + 16; }

  // The start of the character that holds byte `at`, if that is near: a half character is no text.
  static std::size_t character_start(std::string_view text, std::size_t at) {
    const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0U) == 0x80U; };
    for (std::size_t back = 0; back < 4; ++back) {
      if (!continues(at - back)) return at - back;
    }
    return at;
  }

  const Tokenizer& tokenizer_;
  std::int64_t vocab_size_;
  BlockText block_;
};

}  // namespace

BlockText read_block(const Tokenizer& tokenizer, std::string_view text, std::int64_t vocab_size) {
  Reader reader(tokenizer, vocab_size);
  reader.read(text);
  return reader.take();
}

std::string write_block(const Tokenizer& tokenizer, const BlockText& block) {
  std::string text;
  std::size_t at_id = 0, at_byte = 0;
  for (const BlockText::Piece& piece : block.pieces) {
    const auto n_ids = static_cast<std::size_t>(piece.n_ids), n_escaped = static_cast<std::size_t>(piece.n_escaped);
    LMBITS_CHECK(n_ids <= block.ids.size() - at_id && n_escaped <= block.escaped.size() - at_byte);
    if (n_ids > 0) text += tokenizer.decode(std::span(block.ids).subspan(at_id, n_ids));
    text += std::string_view(block.escaped).substr(at_byte, n_escaped);
    at_id += n_ids;
    at_byte += n_escaped;
  }
  return text;
}

}  // namespace lmbits
