#include "src/tokenizer/sentencepiece_normalizer.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "src/core/error.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";
constexpr std::size_t kLongestKey = 256;  // bytes that the table replaces; a damaged trie may go on for ever

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorKind::kModel, "the SentencePiece model's table of normalisation " + what, "the file is damaged");
}

std::size_t total_bytes(const std::vector<std::string>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), std::size_t{0},
                         [](std::size_t n, const std::string& piece) { return n + piece.size(); });
}

}  // namespace

// The table: the trie's bytes as a 32-bit number, the trie (32-bit units, darts-clone's layout), texts that end with NUL.
SentencePieceNormalizer::SentencePieceNormalizer(SentencePieceSettings settings,
                                                 const std::vector<std::string>& user_defined)
    : settings_(std::move(settings)), user_defined_(total_bytes(user_defined)) {
  for (const std::string& piece : user_defined) user_defined_.put(piece, 0);
  const std::string_view table = settings_.character_map;
  if (table.empty()) return;
  std::uint32_t n_trie_bytes = 0;
  if (table.size() < sizeof n_trie_bytes) damaged("ends early");
  std::memcpy(&n_trie_bytes, table.data(), sizeof n_trie_bytes);
  if (n_trie_bytes > table.size() - sizeof n_trie_bytes || n_trie_bytes % sizeof(std::uint32_t) != 0)
    damaged("has a trie of " + std::to_string(n_trie_bytes) + " bytes");
  units_ = table.substr(sizeof n_trie_bytes, n_trie_bytes);
  texts_ = table.substr(sizeof n_trie_bytes + n_trie_bytes);
}

// 0 beyond the end, which has no label that a byte could be but NUL, and no value.
std::uint32_t SentencePieceNormalizer::unit(std::size_t at) const {
  std::uint32_t value = 0;
  if (at < units_.size() / sizeof value) std::memcpy(&value, units_.data() + at * sizeof value, sizeof value);
  return value;
}

SentencePieceNormalizer::Step SentencePieceNormalizer::next(std::string_view rest) const {
  std::size_t n_user_defined = 0;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    node = user_defined_.next(node, rest[i]);
    if (node == PieceTrie::kNone) break;
    if (user_defined_.id(node) >= 0) n_user_defined = i + 1;
  }
  if (n_user_defined > 0) return {rest.substr(0, n_user_defined), n_user_defined};

  const auto offset = [](std::uint32_t u) { return std::size_t{u >> 10} << ((u & 0x200u) >> 6); };
  std::size_t longest = 0, value = 0, at = units_.empty() ? 0 : offset(unit(0));
  for (std::size_t i = 0; i < std::min(rest.size(), kLongestKey) && !units_.empty(); ++i) {
    const auto byte = static_cast<unsigned char>(rest[i]);
    at ^= byte;
    const std::uint32_t u = unit(at);
    if ((u & 0x800000FFu) != byte || u == 0) break;
    at ^= offset(u);
    if ((u >> 8 & 1) == 0) continue;
    longest = i + 1;
    value = unit(at) & 0x7FFFFFFFu;
  }
  if (longest > 0 && value < texts_.size()) {
    const std::string_view text = texts_.substr(value);
    return {text.substr(0, std::min(text.find('\0'), text.size())), longest};
  }
  const std::size_t n = decode_utf8(rest.data(), rest.data() + rest.size()).n_bytes;
  return {rest.substr(0, n), n};
}

AlignedText SentencePieceNormalizer::apply(std::string_view run, bool at_start) const {
  AlignedText to;
  std::size_t at = 0;
  const auto put = [&](std::string_view bytes) {
    to.text += bytes;
    to.origin.insert(to.origin.end(), bytes.size(), static_cast<std::uint32_t>(at));
  };
  const auto put_space = [&] { put(settings_.escape_whitespaces ? kSpaceSymbol : " "); };
  const bool drops_spaces = settings_.remove_extra_whitespaces;
  while (drops_spaces && at < run.size()) {
    const Step step = next(run.substr(at));
    if (step.text != " ") break;
    at += step.n_bytes;
  }
  if (at < run.size() && at_start && settings_.add_dummy_prefix && !settings_.whitespace_as_suffix) put_space();
  const bool has_text = at < run.size();
  bool behind_space = drops_spaces;
  while (at < run.size()) {
    const Step step = next(run.substr(at));
    std::string_view text = step.text;
    while (behind_space && text.starts_with(' ')) text.remove_prefix(1);
    if (!text.empty()) {
      for (const char c : text) {
        if (c == ' ') {
          put_space();
        } else {
          put({&c, 1});
        }
      }
      behind_space = drops_spaces && text.ends_with(' ');
    }
    at += step.n_bytes;
  }
  const std::string_view space = settings_.escape_whitespaces ? kSpaceSymbol : " ";
  while (drops_spaces && to.text.ends_with(space)) {
    to.text.resize(to.text.size() - space.size());
    to.origin.resize(to.text.size());
  }
  if (has_text && at_start && settings_.add_dummy_prefix && settings_.whitespace_as_suffix) put_space();
  to.origin.push_back(static_cast<std::uint32_t>(run.size()));
  return to;
}

}  // namespace lmbits
