// Tokens that a text is searched for before the model sees it: <|endoftext|> and the like.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
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
  const AddedToken* token;   // nullptr: text between tokens
  bool comes_again = false;  // begins before the end of a token that took white space behind it
};

// Finds tokens from left to right, of several at one place the longest. White space that a token takes with it behind it
// is searched all the same, as in the tokenizers library: a token of white space there comes again.
class AddedTokenFinder {
 public:
  AddedTokenFinder() : AddedTokenFinder(std::vector<AddedToken>()) {}
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Calls take(TextPart) for the text's tokens and what lies between them, in order; no empty parts.
  template <typename Take>
  void cut(std::string_view text, Take take) const {
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::optional<TextPart> found = next(text, at, done);
      if (!found) break;
      if (found->begin > done) take(TextPart{done, found->begin, nullptr});
      if (found->end > found->begin) take(TextPart{found->begin, found->end, found->token, found->begin < done});
      done = found->end;
    }
    if (done < text.size()) take(TextPart{done, text.size(), nullptr});
  }

 private:
  // The next token from `at` on, which is set behind it; text before `done` is taken already.
  std::optional<TextPart> next(std::string_view text, std::size_t& at, std::size_t done) const;
  std::size_t candidate(std::string_view text, std::size_t at) const;
  const AddedToken* token_at(std::string_view rest) const;

  // A trie of the tokens' bytes: the longest token is where the last of them on the way down is. 0 is the root, and no child.
  struct Node {
    std::uint32_t first_child = 0, next_sibling = 0;
    std::int32_t token = -1;
    char byte = 0;
  };
  std::uint32_t child(std::uint32_t node, char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::vector<std::array<char, 2>> beginnings_;  // the first two bytes of all tokens, where these are few
  std::array<bool, 256> begins_{};               // some token begins with this byte
};

}  // namespace lmbits
