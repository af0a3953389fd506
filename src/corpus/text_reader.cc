#include "src/corpus/text_reader.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "src/core/error.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

std::size_t size_hint(const std::string& path) {
  std::error_code ignored;  // a hint: without it the buffer grows as it fills
  if (is_compressed_name(path) || !fs::is_regular_file(path, ignored)) return 0;
  const auto size = fs::file_size(path, ignored);
  return ignored ? 0 : static_cast<std::size_t>(size);
}

class FileReader : public CorpusReader {
 public:
  FileReader(const std::string& path, const std::string& name, Split split) : pieces_(id_from_name(name), split) {
    pieces_.open_file(path);
  }
  std::optional<Document> next() override { return pieces_.next(); }

 private:
  SourcePieces pieces_;
};

class MediaReader : public CorpusReader {
 public:
  MediaReader(const std::string& path, const std::string& name, Split split, const Patch& patch)
      : pieces_(id_from_name(name), split) {
    std::string file;
    for (const auto source = open_bytes(path); append_some(*source, file);) {
    }
    pieces_.open_memory(media_stream(file, patch, path));
  }
  std::optional<Document> next() override { return pieces_.next(); }

 private:
  SourcePieces pieces_;
};

class FolderReader : public CorpusReader {
 public:
  FolderReader(const std::string& root, Split split) : root_(root), split_(split), names_(list_folder(root)) {
    if (names_.empty()) throw Error(ErrorKind::kData, root + ": a folder without files", "check the path");
  }

  std::optional<Document> next() override {
    while (pieces_ || i_name_ < names_.size()) {
      try {
        if (!pieces_) open_next();
        if (auto document = pieces_->next()) return document;
        pieces_.reset();
      } catch (const Error& error) {
        Document failed = pieces_->failed(error.what());
        pieces_.reset();
        return failed;
      }
    }
    return std::nullopt;
  }

 private:
  void open_next() {
    const std::string& name = names_[i_name_++];
    pieces_.emplace(id_from_name(name), split_);
    pieces_->open_file((fs::path(root_) / name).string());
  }

  std::string root_;
  Split split_;
  std::vector<std::string> names_;
  std::size_t i_name_ = 0;
  std::optional<SourcePieces> pieces_;  // of the file before i_name_, until its end
};

}  // namespace

void SourcePieces::open_file(const std::string& path) { splitter_.emplace(open_bytes(path), split_, size_hint(path)); }

void SourcePieces::open_memory(std::string bytes) { splitter_.emplace(bytes_in_memory(std::move(bytes)), split_); }

std::optional<Document> SourcePieces::next() {
  auto bytes = splitter_->next();
  if (!bytes) return std::nullopt;
  Document document{next_id(), *std::move(bytes), {}};
  document.continues = index_++ > 0;
  return document;
}

Document SourcePieces::failed(const std::string& why) const { return {next_id(), {}, why}; }

std::string SourcePieces::next_id() const {
  if (split_.kind == Split::Kind::kNone) return source_id_;
  char index[32];
  std::snprintf(index, sizeof index, "#%06lld", static_cast<long long>(index_));
  return source_id_ + index;
}

std::vector<std::string> list_folder(const std::string& root) {
  std::vector<std::string> names;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
      std::error_code broken_link;
      if (entry.is_regular_file(broken_link)) names.push_back(entry.path().lexically_relative(root).generic_string());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kData, error.path1().string() + ": the folder cannot be listed: " + error.code().message(),
                "check its permissions");
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string id_from_name(const std::string& name) {
  std::string id;
  for (std::string_view rest = name; !rest.empty();) {
    const std::size_t n_valid = valid_utf8_prefix(rest);
    id += rest.substr(0, n_valid);
    rest.remove_prefix(n_valid);
    if (rest.empty()) break;
    char escaped[4];
    std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(rest[0])));
    id += escaped;
    rest.remove_prefix(1);
  }
  return id;
}

std::unique_ptr<CorpusReader> make_file_reader(const std::string& path, const std::string& name, Split split) {
  return std::make_unique<FileReader>(path, name, split);
}

std::unique_ptr<CorpusReader> make_media_reader(const std::string& path, const std::string& name, Split split,
                                                const Patch& patch) {
  if (split.kind == Split::Kind::kLines || split.kind == Split::Kind::kParagraphs)
    throw Error(ErrorKind::kConfig, path + " holds samples, and no lines or paragraphs", "cut it every so many bytes");
  split.of_text = false;
  return std::make_unique<MediaReader>(path, name, split, patch);
}

std::unique_ptr<CorpusReader> make_folder_reader(const std::string& root, Split split) {
  return std::make_unique<FolderReader>(root, split);
}

}  // namespace lmbits
