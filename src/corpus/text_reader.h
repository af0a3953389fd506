// Readers of text, one file or the files of a folder, and of the samples of a picture, sound or video.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/corpus/media.h"
#include "src/corpus/reader.h"
#include "src/corpus/splitter.h"

namespace lmbits {

// The documents that one source is cut into, and their ids.
class SourcePieces {
 public:
  SourcePieces(std::string source_id, Split split) : source_id_(std::move(source_id)), split_(split) {}

  void open_file(const std::string& path);
  void open_memory(std::string bytes);

  std::optional<Document> next();                 // nullopt at the end; throws Error(kData)
  Document failed(const std::string& why) const;  // stands for what would have come next

 private:
  std::string next_id() const;

  std::string source_id_;
  Split split_;
  std::optional<DocumentSplitter> splitter_;  // none before it is opened
  std::int64_t index_ = 0;
};

// Regular files below `root`, relative to it, in byte order. Error(kData) where a folder cannot be listed.
std::vector<std::string> list_folder(const std::string& root);

// A name of any bytes as a valid UTF-8 id: bytes that are not UTF-8 become %XX.
std::string id_from_name(const std::string& name);

// `name` is the document's id, before id_from_name.
std::unique_ptr<CorpusReader> make_file_reader(const std::string& path, const std::string& name, Split split);
std::unique_ptr<CorpusReader> make_media_reader(const std::string& path, const std::string& name, Split split,
                                                const Patch& patch);
std::unique_ptr<CorpusReader> make_folder_reader(const std::string& root, Split split);

}  // namespace lmbits
