#include "src/tokenizer/added_tokens.h"

#include <algorithm>

#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

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

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  const auto first_byte = [](const AddedToken& token) { return static_cast<unsigned char>(token.content[0]); };
  std::stable_sort(tokens_.begin(), tokens_.end(), [&](const AddedToken& a, const AddedToken& b) {
    return first_byte(a) != first_byte(b) ? first_byte(a) < first_byte(b) : a.content.size() > b.content.size();
  });
  for (const AddedToken& token : tokens_) ++first_[first_byte(token) + std::size_t{1}];
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
}

const AddedToken* AddedTokenFinder::token_at(std::string_view rest) const {
  const auto byte = static_cast<unsigned char>(rest[0]);
  for (std::size_t i = first_[byte]; i < first_[byte + std::size_t{1}]; ++i) {
    if (rest.starts_with(tokens_[i].content)) return &tokens_[i];
  }
  return nullptr;
}

std::vector<TextPart> AddedTokenFinder::cut(std::string_view text) const {
  std::vector<TextPart> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const AddedToken* token = first_[byte] == first_[byte + std::size_t{1}] ? nullptr : token_at(text.substr(at));
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
    begin = std::max(begin, done);
    while (token->rstrip && has(text, end, is_space)) {
      std::uint32_t n = 0;
      properties_at(UnicodeTable::instance(), text.data() + end, text.data() + text.size(), n);
      end += n;
    }
    if (begin > done) parts.push_back({done, begin, nullptr});
    parts.push_back({begin, end, token});
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) parts.push_back({done, text.size(), nullptr});
  return parts;
}

}  // namespace lmbits
