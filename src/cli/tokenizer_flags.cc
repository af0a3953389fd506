#include "src/cli/tokenizer_flags.h"

#include <filesystem>
#include <fstream>

#include "src/cli/command.h"
#include "src/core/atomic_file.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/tokenizer/make_tokenizer.h"

namespace lmbits::cli {
namespace {

std::string known_kinds() {
  std::string kinds;
  for (const std::string& kind : tokenizer_kinds()) kinds += (kinds.empty() ? "" : ", ") + kind;
  return kinds;
}

bool begins_with_gguf(const std::string& path) {
  std::string begin(4, '\0');
  std::ifstream(path, std::ios::binary).read(begin.data(), 4);
  return begin == "GGUF";
}

}  // namespace

void add_tokenizer_flags(const Command& command, TokenizerFlags& flags) {
  command.add_option("--kind", flags.kind, "Of the tokenizer's file: " + known_kinds() + " (default: by the file)");
  command.add_option("--pattern", flags.pattern,
                     "How tiktoken ranks split a text: gpt2, cl100k, o200k, llama3, qwen2, or a regular expression");
}

std::unique_ptr<Tokenizer> open_tokenizer(const TokenizerFlags& flags) {
  TokenizerSource source{.kind = flags.path == "bytes" ? "bytes" : flags.kind, .bytes = {}, .pattern = flags.pattern};
  if (source.kind == "gguf" || (source.kind.empty() && begins_with_gguf(flags.path))) {
    source.kind = "gguf";
    source.bytes = gguf_metadata(MappedFile(flags.path).bytes());
  } else if (source.kind != "bytes") {
    source.bytes = read_file(flags.path);
  }
  if (source.kind.empty()) source.kind = guess_tokenizer_kind(source.bytes, flags.path);
  if (source.kind.empty() && flags.path.ends_with(".pt"))
    throw Error(ErrorKind::kConfig, flags.path + " is a model, not a tokenizer's file",
                "lmbits inspect " + flags.path + " tells of its tokenizer");
  if (source.kind.empty())
    throw Error(ErrorKind::kConfig, flags.path + " does not tell what kind of tokenizer it is",
                "give --kind: " + known_kinds());
  return make_tokenizer(source, flags.path);
}

bool is_tokenizer_file(const std::string& path) {
  std::string begin(4, '\0');
  std::ifstream(path, std::ios::binary).read(begin.data(), 4);
  return path == "bytes" || (std::filesystem::is_regular_file(path) && !guess_tokenizer_kind(begin, path).empty());
}

}  // namespace lmbits::cli
