#include "src/corpus/reader.h"

#include <filesystem>
#include <string_view>
#include <vector>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/corpus/byte_source.h"
#include "src/corpus/jsonl_reader.h"
#include "src/corpus/splitter.h"
#include "src/corpus/text_reader.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

enum class Kind { kText, kFolder, kJsonl };

std::string without_compression(const std::string& path) {
  return is_compressed_name(path) ? path.substr(0, path.rfind('.')) : path;
}

Kind kind_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(ErrorKind::kData, path + ": cannot be opened: " + (error ? error.message() : "no such file or folder"),
                "check the path");
  }
  if (fs::is_directory(status)) return Kind::kFolder;
  if (!fs::is_regular_file(status)) {
    throw Error(ErrorKind::kData, path + ": neither a file nor a folder",
                "a corpus is read more than once: save it to a file first");
  }
  const std::string name = without_compression(path);
  return name.ends_with(".jsonl") || name.ends_with(".ndjson") ? Kind::kJsonl : Kind::kText;
}

// XXH3-128 of a sequence of strings and streams, each followed by its length, so that no two sequences run together.
class CorpusHash {
 public:
  void add(std::string_view text) {
    hash_.add(text);
    add_length(text.size());
  }

  void add(ByteSource& source) {
    std::uint64_t n_bytes = 0;
    for (std::string buffer; append_some(source, buffer); buffer.clear()) {
      hash_.add(buffer);
      n_bytes += buffer.size();
    }
    add_length(n_bytes);
  }

  std::string hex() const { return hash_.hex(); }

 private:
  void add_length(std::uint64_t length) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i) & 0xff));
    hash_.add(bytes);
  }

  Fingerprint hash_;
};

void add_folder(CorpusHash& fingerprint, const std::string& root) {
  for (const std::string& name : list_folder(root)) {
    fingerprint.add(name);
    try {
      fingerprint.add(*open_raw_bytes((fs::path(root) / name).string()));
    } catch (const Error&) {
      fingerprint.add("unreadable");  // a failed document, as the reader says
    }
  }
}

std::int64_t jsonl_text_bytes(const CorpusSpec& spec) {
  const auto reader = make_jsonl_reader(spec.path, spec.field, {});
  std::int64_t n_bytes = 0;
  while (const auto document = reader->next()) n_bytes += static_cast<std::int64_t>(document->bytes.size());
  return n_bytes;
}

}  // namespace

CorpusSpec parse_corpus_spec(const std::string& text) {
  CorpusSpec spec;
  const std::size_t equals = text.find('=');
  const bool named = equals != std::string::npos && text.find('/') > equals;
  spec.name = named ? text.substr(0, equals) : "";
  spec.path = named ? text.substr(equals + 1) : text;
  if (spec.path.empty() || (named && spec.name.empty())) {
    throw Error(ErrorKind::kUsage, "corpus is \"" + text + "\"", "give it as PATH or as NAME=PATH");
  }
  spec.name = corpus_name(spec);
  return spec;
}

std::string corpus_name(const CorpusSpec& spec) {
  if (!spec.name.empty()) return spec.name;
  std::error_code ignored;
  fs::path path = fs::absolute(spec.path, ignored).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "held/" names the folder
  if (fs::is_directory(path, ignored)) return id_from_name(path.filename().string());
  return id_from_name(fs::path(without_compression(path.string())).stem().string());
}

std::unique_ptr<CorpusReader> open_corpus(const CorpusSpec& spec) {
  const Split split = parse_split(spec.split);
  switch (kind_of(spec.path)) {
    case Kind::kFolder:
      return make_folder_reader(spec.path, split);
    case Kind::kJsonl:
      return make_jsonl_reader(spec.path, spec.field, split);
    case Kind::kText:
      break;
  }
  return make_file_reader(spec.path, split);
}

std::string corpus_fingerprint(const CorpusSpec& spec) {
  const Split split = parse_split(spec.split);
  const Kind kind = kind_of(spec.path);
  CorpusHash fingerprint;
  fingerprint.add("lmbits corpus 1");
  fingerprint.add(spec.field);
  fingerprint.add(split.kind == Split::Kind::kBytes ? std::to_string(split.n_bytes) : spec.split);
  if (kind == Kind::kFolder) {
    fingerprint.add("folder");
    add_folder(fingerprint, spec.path);
  } else {
    fingerprint.add("file");
    fingerprint.add(fs::path(spec.path).filename().string());
    fingerprint.add(*open_raw_bytes(spec.path));
  }
  return fingerprint.hex();
}

std::optional<std::int64_t> corpus_size_bytes(const CorpusSpec& spec) {
  const Kind kind = kind_of(spec.path);
  std::error_code error;
  if (kind != Kind::kFolder) {
    if (is_compressed_name(spec.path)) return std::nullopt;
    if (kind == Kind::kJsonl) return jsonl_text_bytes(spec);
    const auto size = fs::file_size(spec.path, error);
    return error ? std::nullopt : std::optional(static_cast<std::int64_t>(size));
  }
  std::int64_t n_bytes = 0;
  for (const std::string& name : list_folder(spec.path)) {
    if (is_compressed_name(name)) return std::nullopt;
    const auto size = fs::file_size(fs::path(spec.path) / name, error);
    if (!error) n_bytes += static_cast<std::int64_t>(size);
  }
  return n_bytes;
}

}  // namespace lmbits
