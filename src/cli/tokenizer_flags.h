// The flags by which a command takes a tokenizer.
#pragma once
#include <memory>
#include <string>

#include "src/tokenizer/tokenizer.h"

namespace lmbits::cli {

class Command;

struct TokenizerFlags {
  std::string path;     // a tokenizer's file, or "bytes"
  std::string kind;     // empty: by the file
  std::string pattern;  // tiktoken
};

void add_tokenizer_flags(const Command& command, TokenizerFlags& flags);

// Throws Error(kConfig) where the kind is not given and cannot be told.
std::unique_ptr<Tokenizer> open_tokenizer(const TokenizerFlags& flags);

// Does this look like a tokenizer's file?
bool is_tokenizer_file(const std::string& path);

}  // namespace lmbits::cli
