#include "src/store/run_directory.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/store/checked_line.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kDocuments = "documents.jsonl";
constexpr const char* kSummary = "summary.json";
constexpr std::chrono::seconds kSyncInterval{1};

// Text on one line. A name in it need not be UTF-8 (a path, say): what is not becomes U+FFFD.
std::string to_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

[[noreturn]] void fail(const std::string& what, const std::string& hint) { throw Error(ErrorKind::kData, what, hint); }

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) fail("cannot look at " + path.string() + ": " + error.message(), "check its permissions");
  return found;
}

std::vector<fs::path> list_folder(const fs::path& folder) {
  try {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  } catch (const fs::filesystem_error& e) {
    fail("cannot read the folder " + folder.string() + ": " + e.code().message(), "check the path");
  }
}

Json read_json(const fs::path& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::exception&) {
    fail(path.string() + " (" + std::to_string(text.size()) + " bytes) is damaged: not JSON",
         "restore it from a copy, or move the folder away and run again");
  }
}

void write_json(const fs::path& path, const Json& content) {
  Json json = {{"schema", kRunSchema}};
  for (const auto& [key, value] : content.items()) json[key] = value;
  json["schema"] = kRunSchema;
  write_file_atomically(path, to_text(json, 2) + "\n");
}

Json read_manifest(const fs::path& run) {
  const fs::path path = run / kManifest;
  if (!is_there(path)) {
    fail(run.string() + " is not a run: it holds no " + kManifest, "name a folder that `lmbits eval` made");
  }
  Json manifest = read_json(path);
  const Json schema = manifest.is_object() ? manifest.value("schema", Json()) : Json();
  if (schema != kRunSchema) {
    fail(path.string() + " has schema " + to_text(schema) + ", this program reads " + std::to_string(kRunSchema),
         "use the version of lmbits that made it, or run again into a new folder");
  }
  return manifest;
}

struct Documents {
  std::vector<DocumentRecord> records;  // in file order, the first of each id
  std::int64_t n_damaged_lines = 0;

  // Of every line, whether a resume keeps it: sound, the first of its id, not failed.
  std::vector<bool> keep;
  std::int64_t n_bytes_before_first_drop = 0;
};

// Calls `visit(line, complete)` for every line; `complete` says that it ends with a newline.
void for_each_line(const fs::path& path, const std::function<void(const std::string&, bool)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path.string(), "check its permissions");
  std::string line;
  while (std::getline(file, line)) visit(line, !file.eof());
  if (file.bad()) fail("cannot read all of " + path.string(), "check the disk that holds it");
}

DocumentRecord read_record(const Json& json, const fs::path& path, std::size_t line_number) {
  try {
    return record_from_json(json);
  } catch (const Error& e) {
    throw Error(e.kind(), path.string() + ":" + std::to_string(line_number) + ": " + e.what(), e.hint());
  }
}

Documents read_documents(const fs::path& path) {
  Documents documents;
  if (!is_there(path)) return documents;  // killed between the manifest and the first line
  std::unordered_set<std::string> ids;
  bool dropped = false;
  for_each_line(path, [&](const std::string& line, bool complete) {
    const std::optional<Json> json = complete ? parse_checked_line(line) : std::nullopt;
    bool keep = false;
    if (json) {
      DocumentRecord record = read_record(*json, path, documents.keep.size() + 1);
      if (ids.insert(record.id).second) {
        keep = record.error.empty();
        documents.records.push_back(std::move(record));
      } else {
        ++documents.n_damaged_lines;
      }
    } else {
      ++documents.n_damaged_lines;
    }
    documents.keep.push_back(keep);
    dropped = dropped || !keep;
    if (!dropped) documents.n_bytes_before_first_drop += static_cast<std::int64_t>(line.size()) + 1;
  });
  return documents;
}

// Leaves only the lines to keep. Where those come first the file need only be cut, which the writer does on opening it:
// that works on a full disk too.
std::int64_t drop_lines(const fs::path& path, const Documents& documents) {
  const std::vector<bool>& keep = documents.keep;
  const auto first_drop = std::find(keep.begin(), keep.end(), false);
  if (std::find(first_drop, keep.end(), true) == keep.end()) return documents.n_bytes_before_first_drop;
  std::string kept;
  std::size_t at = 0;
  for_each_line(path, [&](const std::string& line, bool) {
    if (keep[at++]) kept.append(line).push_back('\n');
  });
  write_file_atomically(path, kept);
  return static_cast<std::int64_t>(kept.size());
}

// ---- Identity.

// Adds "a.b was 1, is now 2" to `changes` for every value that differs below `key`. Objects are equal in any order.
void list_changes(const std::string& key, const Json& was, const Json& is, std::vector<std::string>& changes) {
  if (was.is_object() && is.is_object()) {
    const std::string prefix = key.empty() ? "" : key + ".";
    for (const auto& [name, value] : was.items()) {
      if (is.contains(name)) {
        list_changes(prefix + name, value, is[name], changes);
      } else {
        changes.push_back(prefix + name + " was " + to_text(value) + ", is now absent");
      }
    }
    for (const auto& [name, value] : is.items()) {
      if (!was.contains(name)) changes.push_back(prefix + name + " was absent, is now " + to_text(value));
    }
  } else if (was != is) {
    changes.push_back(key + " was " + to_text(was) + ", is now " + to_text(is));
  }
}

void check_identity(const fs::path& run, const Json& stored, const Json& manifest) {
  std::vector<std::string> changes;
  const Json now = Json::parse(to_text(manifest));  // as it would read back: U+FFFD, null for NaN
  list_changes("", stored.value("identity", Json::object()), now["identity"], changes);
  if (changes.empty()) return;
  std::string what = "cannot resume " + run.string() + ": ";
  for (std::size_t i = 0; i < changes.size(); ++i) what += (i > 0 ? "; " : "") + changes[i];
  throw Error(ErrorKind::kConfig, what, "choose another folder, or go back to what the run was started with");
}

// ---- Opening.

fs::path create_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    fail("cannot create the folder " + path.string() + ": " + error.message(), "choose a folder that you may write to");
  }
  return path;
}

void remove_temporary_files(const fs::path& run) {
  for (const fs::path& path : list_folder(run)) {
    if (is_temporary_file(path)) remove_file(path);
  }
}

void start_or_check(const fs::path& run, const Json& manifest) {
  if (is_there(run / kManifest)) return check_identity(run, read_manifest(run), manifest);
  for (const char* name : {kDocuments, kSummary}) {
    if (is_there(run / name)) {
      fail(run.string() + " holds " + name + " but no " + kManifest + ": what made it is unknown",
           "restore the manifest, or move the folder away and run again");
    }
  }
  write_json(run / kManifest, manifest);
}

}  // namespace

std::string folder_name(std::string name) {
  for (char& c : name) {
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' || c == '+')) c = '-';
  }
  for (std::size_t at = name.find("__"); at != std::string::npos; at = name.find("__")) name.replace(at, 2, "-");
  return name.empty() || name[0] == '.' ? "-" + name : name;
}

Run read_run(const fs::path& path) {
  Run run;
  run.path = path;
  run.manifest = read_manifest(path);
  if (is_there(path / kSummary)) run.summary = read_json(path / kSummary);
  Documents documents = read_documents(path / kDocuments);
  run.records = std::move(documents.records);
  run.n_damaged_lines = documents.n_damaged_lines;
  return run;
}

std::string run_name(const std::string& model, const std::string& corpus, const std::string& convention) {
  return folder_name(model) + "__" + folder_name(corpus) + "__" + folder_name(convention);
}

std::vector<Run> read_runs(const fs::path& dir) {
  std::vector<Run> runs;
  if (is_there(dir / kManifest)) {
    runs.push_back(read_run(dir));
    return runs;
  }
  for (const fs::path& path : list_folder(dir)) {
    if (is_there(path / kManifest)) runs.push_back(read_run(path));
  }
  return runs;
}

std::vector<std::string> read_failures(const fs::path& dir) {
  std::vector<std::string> failures;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(dir / "failures", none)) {
    if (entry.path().extension() != ".json") continue;
    const Json failure = Json::parse(read_file(entry.path()), nullptr, /*allow_exceptions=*/false);
    const bool is_readable = failure.is_object() && failure.contains("name") && failure.contains("error") &&
                             failure["name"].is_string() && failure["error"].is_string();
    failures.push_back(is_readable ? failure["name"].get<std::string>() +
                                         ": failed, not ranked: " + failure["error"].get<std::string>()
                                   : entry.path().string() + " is not readable");
  }
  std::sort(failures.begin(), failures.end());
  return failures;
}

struct RunWriter::State {
  State(const fs::path& run, const Json& manifest) : path(create_folder(run)), lock(path) {
    remove_temporary_files(path);
    start_or_check(path, manifest);
    Documents documents = read_documents(path / kDocuments);
    std::erase_if(documents.records, [](const DocumentRecord& record) { return !record.error.empty(); });
    done = std::move(documents.records);
    for (const DocumentRecord& record : done) ids.insert(record.id);
    const bool all_kept = std::find(documents.keep.begin(), documents.keep.end(), false) == documents.keep.end();
    if (!all_kept) remove_file(path / kSummary);
    has_summary = is_there(path / kSummary);
    file.emplace(path / kDocuments, drop_lines(path / kDocuments, documents));
  }

  void sync() {
    if (synced) return;
    file->sync();
    synced = true;
    last_sync = Clock::now();
  }

  fs::path path;
  FolderLock lock;
  std::vector<DocumentRecord> done;
  std::unordered_set<std::string> ids;  // of `done` and of what was appended
  std::optional<AppendFile> file;
  bool has_summary = false;
  bool synced = true;
  Clock::time_point last_sync = Clock::now();
};

RunWriter::RunWriter(const fs::path& path, const Json& manifest) {
  LMBITS_CHECK(manifest.contains("identity") && manifest["identity"].is_object());
  state_ = std::make_unique<State>(path, manifest);
}

RunWriter::~RunWriter() {
  try {
    state_->sync();
  } catch (const Error&) {
    // The next resume redoes what did not reach the disk; finish() is where a failure to save is reported.
  }
}

const std::vector<DocumentRecord>& RunWriter::done() const { return state_->done; }

void RunWriter::append(const DocumentRecord& record) {
  State& s = *state_;
  if (s.ids.contains(record.id)) {
    fail(s.path.string() + " holds a record of the document \"" + record.id + "\" already",
         "ids must be unique in a corpus");
  }
  if (s.has_summary) {  // it would not be that of the records any more
    remove_file(s.path / kSummary);
    s.has_summary = false;
  }
  s.file->append(checked_line(to_json(record)));
  s.ids.insert(record.id);
  s.synced = false;
  if (Clock::now() - s.last_sync >= kSyncInterval) s.sync();
}

void RunWriter::finish(const Json& summary) {
  state_->sync();
  write_json(state_->path / kSummary, summary);
  state_->has_summary = true;
}

}  // namespace lmbits
