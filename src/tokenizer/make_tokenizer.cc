#include "src/tokenizer/make_tokenizer.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/tokenizer/splitter.h"

namespace lmbits {

std::vector<std::string> tokenizer_kinds() { return {"bytes", "sentencepiece", "tokenizer.json", "tiktoken", "gguf"}; }

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerSource& source, const std::string& where) {
  try {
    if (source.kind == "bytes") return make_byte_tokenizer(source.vocab_size, source.bos_id, source.eos_id);
    if (source.kind == "sentencepiece") return make_sentencepiece_tokenizer(source.bytes);
    if (source.kind == "tokenizer.json") return read_tokenizer_json(source.bytes);
    if (source.kind == "gguf") return read_gguf_vocabulary(source.bytes);
    if (source.kind == "tiktoken") {
      if (source.pattern.empty()) {
        std::string names;
        for (const std::string& name : splitter_names()) names += (names.empty() ? "" : ", ") + name;
        throw Error(ErrorKind::kConfig, "tiktoken's ranks say nothing of how to split a text",
                    "give a pattern: " + names + ", or a regular expression");
      }
      const auto is_of_a_name = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
      if (std::ranges::all_of(source.pattern, is_of_a_name) && !make_named_splitter(source.pattern))
        throw Error(ErrorKind::kConfig, "no split pattern is called " + source.pattern,
                    suggestion(source.pattern, splitter_names()));
      return read_tiktoken(source.bytes, source.pattern);
    }
  } catch (const Error& e) {
    throw Error(e.kind(), where + ": " + e.what(), e.hint());
  }
  throw Error(ErrorKind::kUnsupported, where + ": tokenizer kind \"" + source.kind + "\" is not known",
              suggestion(source.kind, tokenizer_kinds()));
}

std::string guess_tokenizer_kind(std::string_view bytes, std::string_view file_name) {
  if (bytes.starts_with("GGUF")) return "gguf";
  if (file_name.ends_with(".json")) return "tokenizer.json";
  if (file_name.ends_with(".tiktoken")) return "tiktoken";
  if (file_name.ends_with(".model") && bytes.starts_with("\x0A")) return "sentencepiece";
  return "";
}

}  // namespace lmbits
