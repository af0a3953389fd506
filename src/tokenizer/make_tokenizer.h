// One function from a tokenizer's kind and file to the tokenizer, for bundles and for commands.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/tokenizer.h"

namespace lmbits {

struct TokenizerSource {
  std::string kind;                                      // one of tokenizer_kinds()
  std::string bytes = {};                                // of its file; none for "bytes"
  std::string pattern;                                   // tiktoken: a splitter's name or a regular expression
  std::int64_t vocab_size = 256;                         // bytes
  std::optional<std::int32_t> bos_id = {}, eos_id = {};  // bytes
};

// "bytes", "sentencepiece", "tokenizer.json", "tiktoken", "gguf".
std::vector<std::string> tokenizer_kinds();

// Throws Error(kUnsupported) for another kind and for what a file asks for that is not read, Error(kModel) for a
// damaged file. `where` names the file in errors.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerSource& source, const std::string& where);

// The kind of a file by its first bytes and its name; empty where neither tells.
std::string guess_tokenizer_kind(std::string_view bytes, std::string_view file_name);

// The readers of each format, from a file's bytes.
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::string& bytes);
std::unique_ptr<Tokenizer> read_tiktoken(const std::string& bytes, const std::string& pattern);
std::unique_ptr<Tokenizer> read_gguf_vocabulary(const std::string& bytes);

// What of a GGUF file lies before its tensors, which may be many gigabytes. Throws Error(kModel) where it is damaged.
std::string_view gguf_metadata(std::string_view file);

}  // namespace lmbits
