#include "src/store/partial_runs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPart = "part-";

// A part that a worker still writes (one that was taken for dead) stays: what it adds is folded another time, or lost
// with it when somebody else has done the same documents.
void remove_unless_in_use(const fs::path& part) {
  try {
    const FolderLock lock(part);
    fs::remove_all(part);
  } catch (const Error&) {
  }
}

// What was appended has to be on the disk before its other copy goes.
void sync_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0)
    throw Error(ErrorKind::kData, "cannot save " + path.string() + ": " + std::generic_category().message(errno),
                "the parts are kept; free some space and run the same command again");
}

void require_same_work(const Run& from, const Json& manifest) {
  const Json theirs = from.manifest.value("identity", Json::object());
  for (const auto& [key, value] : manifest.at("identity").items()) {
    if (theirs.value(key, Json()) != value)
      throw Error(ErrorKind::kConfig,
                  "cannot merge " + from.path.string() + ": its " + key + " is " + theirs.value(key, Json()).dump() +
                      ", not " + value.dump(),
                  "merge only what was scored with the same model, tokenizer, corpus and convention");
  }
}

}  // namespace

fs::path part_folder(const fs::path& run, int rank) {
  return run / (kPart + std::to_string(rank) + "-" + std::to_string(::getpid()));
}

std::vector<fs::path> parts_of(const fs::path& run) {
  std::vector<fs::path> parts;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run, none)) {
    if (entry.path().filename().string().starts_with(kPart) && entry.is_directory()) parts.push_back(entry.path());
  }
  std::sort(parts.begin(), parts.end());
  return parts;
}

std::unordered_map<std::string, double> known_bits(const Run& run) {
  std::unordered_map<std::string, double> known;
  for (const DocumentRecord& record : run.records) known.emplace(record.id, record.bits);
  return known;
}

void fold_run(const Run& from, bool with_failed, const Json& manifest, std::unordered_map<std::string, double>& known,
              RunWriter& into, Folded& folded) {
  require_same_work(from, manifest);
  for (const DocumentRecord& record : from.records) {
    if (!record.error.empty() && !with_failed) continue;
    const auto [place, is_new] = known.emplace(record.id, record.bits);
    if (is_new) {
      into.append(record);
      ++folded.n_records;
    } else {
      ++folded.n_known;
      if (place->second != record.bits) folded.disagreements.push_back(record.id);
    }
  }
}

Folded fold_parts(const fs::path& run, bool with_failed, RunWriter& into) {
  Folded folded;
  const std::vector<fs::path> parts = parts_of(run);
  if (parts.empty()) return folded;
  const Run whole = read_run(run);
  std::unordered_map<std::string, double> known = known_bits(whole);
  for (const fs::path& part : parts) {
    if (fs::exists(part / "manifest.json")) fold_run(read_run(part), with_failed, whole.manifest, known, into, folded);
  }
  sync_file(run / "documents.jsonl");
  for (const fs::path& part : parts) remove_unless_in_use(part);
  return folded;
}

}  // namespace lmbits
