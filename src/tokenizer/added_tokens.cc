#include "src/tokenizer/added_tokens.h"

#include <algorithm>
#include <bit>
#include <set>

#include "src/tokenizer/byte_blocks.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

constexpr std::size_t kBeginnings = 4;

bool has(std::string_view text, std::size_t at, bool (*holds)(std::uint8_t)) {
  std::uint32_t n = 0;
  return at < text.size() &&
         holds(properties_at(UnicodeTable::instance(), text.data() + at, text.data() + text.size(), n));
}
bool is_word(std::uint8_t properties) { return (properties & kWordChar) != 0; }
bool is_space(std::uint8_t properties) { return static_cast<CharClass>(properties & 15) == CharClass::kSpace; }

// Where the character that ends at `end` begins.
std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  for (int i = 0; i < 3 && at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; ++i) --at;
  return at;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), nodes_(1) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  bool all_have_two_bytes = true;
  std::set<std::array<char, 2>> beginnings;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i].content;
    begins_[static_cast<unsigned char>(content[0])] = true;
    all_have_two_bytes = all_have_two_bytes && content.size() >= 2;
    if (content.size() >= 2) beginnings.insert({content[0], content[1]});
    std::uint32_t node = 0;
    for (const char byte : content) {
      std::uint32_t below = child(node, byte);
      if (below == 0) {
        below = static_cast<std::uint32_t>(nodes_.size());
        nodes_.push_back({0, nodes_[node].first_child, -1, byte});
        nodes_[node].first_child = below;
      }
      node = below;
    }
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<std::int32_t>(i);
  }
  if (all_have_two_bytes && beginnings.size() <= kBeginnings) beginnings_.assign(beginnings.begin(), beginnings.end());
}

std::uint32_t AddedTokenFinder::child(std::uint32_t node, char byte) const {
  std::uint32_t below = nodes_[node].first_child;
  while (below != 0 && nodes_[below].byte != byte) below = nodes_[below].next_sibling;
  return below;
}

const AddedToken* AddedTokenFinder::token_at(std::string_view rest) const {
  const AddedToken* longest = nullptr;
  std::uint32_t node = 0;
  for (const char byte : rest) {
    node = child(node, byte);
    if (node == 0) break;
    if (nodes_[node].token >= 0) longest = &tokens_[static_cast<std::size_t>(nodes_[node].token)];
  }
  return longest;
}

// The first place from `at` on where a token may begin; the text's end where there is none.
std::size_t AddedTokenFinder::candidate(std::string_view text, std::size_t at) const {
  if (tokens_.empty()) return text.size();
#ifdef __SSE2__
  for (; !beginnings_.empty() && at + 17 <= text.size(); at += 16) {
    const __m128i bytes = sse::load(text.data() + at), behind = sse::load(text.data() + at + 1);
    __m128i found = _mm_setzero_si128();
    for (const auto& [first, second] : beginnings_)
      found = _mm_or_si128(found, _mm_and_si128(sse::is(bytes, first), sse::is(behind, second)));
    if (const std::uint32_t places = sse::bits(found)) return at + static_cast<std::size_t>(std::countr_zero(places));
  }
#endif
  while (at < text.size() && !begins_[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

std::optional<TextPart> AddedTokenFinder::next(std::string_view text, std::size_t& at, std::size_t done) const {
  while ((at = candidate(text, at)) < text.size()) {
    const AddedToken* const token = token_at(text.substr(at));
    if (!token) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word &&
        ((begin > 0 && has(text, character_before(text, begin), is_word)) || has(text, end, is_word)))
      continue;
    while (token->lstrip && begin > done && has(text, character_before(text, begin), is_space))
      begin = character_before(text, begin);
    if (token->lstrip) begin = std::max(begin, done);
    while (token->rstrip && has(text, end, is_space)) {
      std::uint32_t n = 0;
      properties_at(UnicodeTable::instance(), text.data() + end, text.data() + text.size(), n);
      end += n;
    }
    return TextPart{std::min(begin, end), end, token};
  }
  return std::nullopt;
}

}  // namespace lmbits
