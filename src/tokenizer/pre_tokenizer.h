// The pre-tokenizers of a tokenizer.json: where a normalised text is cut into words.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/tokenizer/aligned_text.h"
#include "src/tokenizer/splitter.h"

namespace lmbits {

struct PreToken {
  std::size_t begin, end;
};

// A text and the words in it, in order; what lies between them is dropped.
struct CutText {
  AlignedText aligned;
  std::vector<PreToken> words;
  bool at_start = true;  // origin 0 is the source's beginning: no added token stands before
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(CutText& text) const = 0;
};

struct PreTokenization {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  bool byte_level = false;             // a ByteLevel is among them: the model's pieces are bytes
  bool bytes_mapped = false;           // and others follow it: words are in ByteLevel's alphabet, not in bytes
  std::unique_ptr<Splitter> splitter;  // where the steps come to this alone, words are its
  bool adds_prefix = false;            // a step puts a space or "▁" in front of the text
};

// `json`: the file's "pre_tokenizer", null included. Throws Error(kUnsupported) by name for one that is not read.
PreTokenization read_pre_tokenizers(const Json& json);

// ByteLevel's alphabet: the character that stands for each byte, and back. The bytes of printable Latin-1 characters
// are those characters, the others are U+0100 and on (Radford et al. 2019, GPT-2's encoder).
std::string to_byte_alphabet(std::string_view bytes);
// nullopt where the text has a character outside of the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace lmbits
