#include "src/corpus/reader.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/corpus/byte_source.h"
#include "src/corpus/jsonl_reader.h"
#include "src/corpus/manifest.h"
#include "src/corpus/media.h"
#include "src/corpus/sample.h"
#include "src/corpus/splitter.h"
#include "src/corpus/text_reader.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPatternCharacters = "*?[{";

std::string without_compression(const std::string& path) {
  return is_compressed_name(path) ? path.substr(0, path.rfind('.')) : path;
}

enum class Form { kText, kJsonl, kMedia };

Form form_of(const std::string& path) {
  const std::string name = without_compression(path);
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson")) return Form::kJsonl;
  return is_media_name(path) ? Form::kMedia : Form::kText;
}

// A file of a corpus: what it is called there, and how it is read.
struct CorpusFile {
  std::string path, name;
  Form form;
  CorpusSource source;
};

// Where the documents come from. A lone file's documents have its own ids, and what is wrong with it is thrown.
struct Layout {
  enum class Kind { kFile, kFolder, kSet } kind = Kind::kFile;
  std::vector<CorpusFile> files;
  CorpusManifest manifest;
  std::string sample;
  std::uint64_t sample_seed = 1;
};

fs::file_status status_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    throw Error(ErrorKind::kData, path + ": cannot be opened: " + (error ? error.message() : "no such file or folder"),
                "check the path");
  }
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {
    throw Error(ErrorKind::kData, path + ": neither a file nor a folder",
                "a corpus is read more than once: save it to a file first");
  }
  return status;
}

// The folders of a pattern above the first part that is one: "a/b/" of "a/b/*.txt".
std::string fixed_part(const std::string& pattern) {
  const std::size_t slash = pattern.rfind('/', pattern.find_first_of(kPatternCharacters));
  return slash == std::string::npos ? std::string() : pattern.substr(0, slash + 1);
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + (status == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (status == GLOB_NOSPACE || status == GLOB_ABORTED)
    throw Error(ErrorKind::kData, pattern + ": the folders cannot be listed", "check their permissions");
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The files of one source. `root` stands before its path on disk, and not in names.
void add_files(const CorpusSource& source, const std::string& root, std::size_t n_unnamed,
               std::vector<CorpusFile>& files) {
  const std::string on_disk = fs::path(source.path).is_absolute() ? source.path : root + source.path;
  const std::size_t n_root = on_disk.size() - source.path.size() + n_unnamed;
  std::vector<std::string> paths{on_disk};
  if (is_pattern(on_disk)) paths = matches_of(on_disk);
  if (paths.empty()) throw Error(ErrorKind::kData, on_disk + ": no file matches", "check the pattern");
  for (const std::string& path : paths) {
    const std::string name = fs::path(path.substr(n_root)).lexically_normal().string();
    if (!fs::is_directory(status_of(path))) {
      files.push_back({path, name, form_of(path), source});
      continue;
    }
    for (const std::string& below : list_folder(path)) {
      files.push_back({(fs::path(path) / below).string(), (fs::path(name) / below).lexically_normal().string(),
                       Form::kText, source});
    }
  }
}

void check_no_parquet(const std::string& path) {
  if (!path.ends_with(".parquet") && !path.ends_with(".arrow")) return;
  throw Error(ErrorKind::kUnsupported, path + ": Parquet and Arrow files are not read",
              "make JSONL of it: scripts/to_jsonl.py " + path + " -o " + fs::path(path).stem().string() + ".jsonl");
}

Layout layout_of(const CorpusSpec& spec) {
  Layout layout;
  CorpusSource source;
  source.path = spec.path;
  source.field = spec.field;
  source.split = spec.split;
  source.patch = spec.patch;
  parse_split(spec.split);
  parse_patch(spec.patch);
  if (is_pattern(spec.path)) {
    layout.kind = Layout::Kind::kSet;
    add_files(source, "", fixed_part(spec.path).size(), layout.files);
  } else if (fs::is_directory(status_of(spec.path))) {
    layout.kind = Layout::Kind::kFolder;
    layout.files.push_back({spec.path, "", Form::kText, source});
  } else if (is_corpus_manifest(spec.path)) {
    layout.kind = Layout::Kind::kSet;
    layout.manifest = read_corpus_manifest(spec.path, source);
    const fs::path folder = fs::path(spec.path).parent_path();
    for (const CorpusSource& one : layout.manifest.sources)
      add_files(one, folder.empty() ? "" : folder.string() + "/", 0, layout.files);
  } else {
    layout.files.push_back({spec.path, fs::path(spec.path).filename().string(), form_of(spec.path), source});
  }
  for (const CorpusFile& file : layout.files) check_no_parquet(file.path);
  std::set<std::string> names;
  for (const CorpusFile& file : layout.files) {
    if (!names.insert(file.name).second)
      throw Error(ErrorKind::kConfig, spec.path + ": two of its sources hold " + file.name, "name each file once");
  }
  layout.sample = spec.sample.empty() ? layout.manifest.sample : spec.sample;
  layout.sample_seed = spec.sample.empty() ? layout.manifest.sample_seed : spec.sample_seed;
  if (!layout.sample.empty()) parse_sample(layout.sample);
  return layout;
}

std::unique_ptr<CorpusReader> open_file(const CorpusFile& file) {
  if (file.form == Form::kJsonl) return make_jsonl_reader(file.path, file.source);
  if (file.form == Form::kMedia)
    return make_media_reader(file.path, file.name, parse_split(file.source.split), parse_patch(file.source.patch));
  return make_file_reader(file.path, file.name, parse_split(file.source.split));
}

// The files of a set, one after the other.
class SetReader : public CorpusReader {
 public:
  explicit SetReader(std::vector<CorpusFile> files) : files_(std::move(files)) {}

  std::optional<Document> next() override {
    while (reader_ || i_file_ < files_.size()) {
      try {
        if (!reader_) reader_ = open_file(files_[i_file_++]);
        while (std::optional<Document> document = reader_->next()) {
          const CorpusFile& file = files_[i_file_ - 1];
          if (!file.source.filters.keeps(*document)) continue;
          if (file.form == Form::kJsonl) document->id = id_from_name(file.name) + ":" + document->id;
          if (file.form != Form::kJsonl) document->category = file.source.category;
          return document;
        }
        reader_.reset();
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kData) throw;
        reader_.reset();
        const CorpusFile& file = files_[i_file_ - 1];
        return Document{id_from_name(file.name), {}, error.what(), file.source.category};
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<CorpusFile> files_;
  std::size_t i_file_ = 0;
  std::unique_ptr<CorpusReader> reader_;  // of the file before i_file_, until its end
};

// Documents that are in memory.
class DrawnReader : public CorpusReader {
 public:
  explicit DrawnReader(std::shared_ptr<const std::vector<Document>> documents) : documents_(std::move(documents)) {}
  std::optional<Document> next() override {
    return at_ < documents_->size() ? std::optional((*documents_)[at_++]) : std::nullopt;
  }

 private:
  std::shared_ptr<const std::vector<Document>> documents_;
  std::size_t at_ = 0;
};

std::unique_ptr<CorpusReader> open_whole(const Layout& layout) {
  const CorpusFile& first = layout.files.front();
  switch (layout.kind) {
    case Layout::Kind::kFolder:
      return make_folder_reader(first.path, parse_split(first.source.split));
    case Layout::Kind::kSet:
      return std::make_unique<SetReader>(layout.files);
    case Layout::Kind::kFile:
      break;
  }
  return open_file(first);
}

std::shared_ptr<const std::vector<Document>> draw(const Layout& layout) {
  const auto reader = open_whole(layout);
  return std::make_shared<const std::vector<Document>>(
      draw_sample(*reader, parse_sample(layout.sample), layout.sample_seed));
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

void add_file_or_say(CorpusHash& fingerprint, const std::string& path) {
  try {
    fingerprint.add(*open_raw_bytes(path));
  } catch (const Error&) {
    fingerprint.add("unreadable");  // a failed document, as the reader says
  }
}

void add_folder(CorpusHash& fingerprint, const std::string& root) {
  for (const std::string& name : list_folder(root)) {
    fingerprint.add(name);
    add_file_or_say(fingerprint, (fs::path(root) / name).string());
  }
}

std::string split_name(const std::string& text) {
  const Split split = parse_split(text);
  return split.kind == Split::Kind::kBytes ? std::to_string(split.n_bytes) : text;
}

// All that decides which documents the file gives.
void add_set_file(CorpusHash& fingerprint, const CorpusFile& file) {
  const CorpusFilters& filters = file.source.filters;
  Json reading = {{"name", id_from_name(file.name)},
                  {"field", file.source.field},
                  {"split", split_name(file.source.split)},
                  {"category", file.source.category},
                  {"category_field", file.source.category_field},
                  {"min_bytes", to_json_or_null(filters.min_bytes)},
                  {"max_bytes", to_json_or_null(filters.max_bytes)},
                  {"min_chars", to_json_or_null(filters.min_chars)},
                  {"max_chars", to_json_or_null(filters.max_chars)},
                  {"valid_utf8", filters.valid_utf8},
                  {"where", filters.where}};
  if (file.form == Form::kMedia) reading["patch"] = patch_name(parse_patch(file.source.patch));
  fingerprint.add(reading.dump());
  add_file_or_say(fingerprint, file.path);
}

std::int64_t text_bytes(CorpusReader& reader) {
  std::int64_t n_bytes = 0;
  while (const auto document = reader.next()) n_bytes += static_cast<std::int64_t>(document->bytes.size());
  return n_bytes;
}

std::int64_t size_of_files(const std::vector<std::string>& paths) {
  std::int64_t n_bytes = 0;
  for (const std::string& path : paths) {
    if (is_compressed_name(path)) {
      const auto source = open_bytes(path);
      for (std::string buffer; append_some(*source, buffer); buffer.clear()) n_bytes += std::ssize(buffer);
      continue;
    }
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (!error) n_bytes += static_cast<std::int64_t>(size);
  }
  return n_bytes;
}

bool filters_sizes(const CorpusFilters& filters) {
  return filters.min_bytes || filters.max_bytes || filters.min_chars || filters.max_chars || filters.valid_utf8;
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
  if (is_corpus_manifest(spec.path) && fs::is_regular_file(spec.path, ignored)) {
    const std::string name = read_corpus_manifest(spec.path, {}).name;
    if (!name.empty()) return name;
  }
  const bool pattern = is_pattern(spec.path);
  fs::path path = fs::absolute(pattern ? fixed_part(spec.path) : spec.path, ignored).lexically_normal();
  if (pattern && fixed_part(spec.path).empty()) path = fs::current_path(ignored);
  if (!path.has_filename()) path = path.parent_path();  // "held/" names the folder
  if (fs::is_directory(path, ignored)) return id_from_name(path.filename().string());
  return id_from_name(fs::path(without_compression(path.string())).stem().string());
}

bool is_pattern(const std::string& path) {
  std::error_code ignored;
  return path.find_first_of(kPatternCharacters) != std::string::npos && !fs::exists(path, ignored);
}

std::unique_ptr<CorpusReader> open_corpus(const CorpusSpec& spec) {
  if (spec.drawn) return std::make_unique<DrawnReader>(spec.drawn);
  const Layout layout = layout_of(spec);
  if (!layout.sample.empty()) return std::make_unique<DrawnReader>(draw(layout));
  return open_whole(layout);
}

CorpusSpec with_sample_drawn(const CorpusSpec& spec) {
  if (spec.drawn) return spec;
  const Layout layout = layout_of(spec);
  CorpusSpec result = spec;
  if (!layout.sample.empty()) result.drawn = draw(layout);
  return result;
}

std::string corpus_fingerprint(const CorpusSpec& spec) {
  const Layout layout = layout_of(spec);
  const CorpusFile& first = layout.files.front();
  CorpusHash fingerprint;
  if (layout.kind == Layout::Kind::kSet) {
    fingerprint.add("lmbits corpus set 1");
    for (const CorpusFile& file : layout.files) add_set_file(fingerprint, file);
  } else {
    fingerprint.add("lmbits corpus 1");
    fingerprint.add(spec.field);
    fingerprint.add(split_name(spec.split));
    if (layout.kind == Layout::Kind::kFolder) {
      fingerprint.add("folder");
      add_folder(fingerprint, first.path);
    } else {
      fingerprint.add("file");
      fingerprint.add(first.name);
      if (first.form == Form::kMedia) fingerprint.add("patch " + patch_name(parse_patch(first.source.patch)));
      fingerprint.add(*open_raw_bytes(first.path));
    }
  }
  if (!layout.sample.empty()) {
    const SampleSize size = parse_sample(layout.sample);
    fingerprint.add("sample");
    fingerprint.add(std::to_string(static_cast<int>(size.unit)) + " " + std::to_string(size.n) + " " +
                    std::to_string(layout.sample_seed));
  }
  return fingerprint.hex();
}

std::optional<std::int64_t> corpus_size_bytes(const CorpusSpec& spec) {
  if (spec.drawn) return text_bytes(*open_corpus(spec));
  const Layout layout = layout_of(spec);
  std::vector<std::string> paths;
  bool must_read = !layout.sample.empty();
  for (const CorpusFile& file : layout.files) {
    must_read = must_read || file.form == Form::kJsonl || filters_sizes(file.source.filters);
    paths.push_back(file.path);
  }
  if (layout.kind == Layout::Kind::kFolder) {
    const std::string root = std::exchange(paths, {}).front();
    for (const std::string& name : list_folder(root)) paths.push_back((fs::path(root) / name).string());
  }
  try {
    return must_read ? text_bytes(*open_corpus(spec)) : size_of_files(paths);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    return std::nullopt;  // whoever reads the corpus will say what is wrong
  }
}

CorpusNotes corpus_notes(const CorpusSpec& spec) {
  const Layout layout = layout_of(spec);
  CorpusNotes notes{layout.manifest.licence, layout.manifest.description, layout.sample, layout.sample_seed, {}};
  for (const CorpusSource& source : layout.manifest.sources) {
    const auto& known = notes.categories;
    if (!source.category.empty() && std::find(known.begin(), known.end(), source.category) == known.end())
      notes.categories.push_back(source.category);
  }
  return notes;
}

}  // namespace lmbits
