// Tokens that a text is searched for before the model sees it: <|endoftext|> and the like.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct AddedToken {
  std::uint32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;              // searched in the normalised text, else in the source
  bool single_word = false;             // only where no word character stands beside it
  bool lstrip = false, rstrip = false;  // takes the white space on that side with it
};

struct TextPart {
  std::size_t begin, end;
  const AddedToken* token;  // nullptr: text between tokens
};

// Finds tokens from left to right, of several at one place the longest.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }
  // The text as tokens and what lies between them; no empty parts.
  std::vector<TextPart> cut(std::string_view text) const;

 private:
  const AddedToken* token_at(std::string_view rest) const;
  std::vector<AddedToken> tokens_;          // by first byte, then the longest first
  std::array<std::uint32_t, 257> first_{};  // of tokens_, by first byte
};

}  // namespace lmbits
