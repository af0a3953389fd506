// One run on disk: DIR/<model>__<corpus>__<convention>/{manifest.json, documents.jsonl, summary.json}.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "src/core/json.h"
#include "src/metrics/record.h"

namespace lmbits {

// The version of the formats in docs/formats.md; `schema` in manifest.json and summary.json, written by RunWriter.
inline constexpr int kRunSchema = 1;

// A finished or unfinished run as read back; never locks, so a run in progress can be looked at.
struct Run {
  std::filesystem::path path;
  Json manifest;
  std::vector<DocumentRecord> records;  // in file order, without torn and corrupt lines and second records of an id
  std::int64_t n_damaged_lines = 0;     // how many of those there are
  Json summary;                         // null while the run is unfinished
};

// Throws Error(kData) when `path` holds no manifest or one of another schema.
Run read_run(const std::filesystem::path& path);

// A name as part of a file's or folder's name: the separator `__` of runs and whatever a path could not hold become '-'.
std::string folder_name(std::string name);

// A run's folder: MODEL__CORPUS__CONVENTION.
std::string run_name(const std::string& model, const std::string& corpus, const std::string& convention);

// Every run directly below `dir` (or `dir` itself), sorted by name.
std::vector<Run> read_runs(const std::filesystem::path& dir);

// Models and runs that failed as a whole, which leave a file of their own in DIR/failures: "NAME: failed, not ranked:
// why", sorted.
std::vector<std::string> read_failures(const std::filesystem::path& dir);

// A run being written: holds the folder's lock until destroyed.
class RunWriter {
 public:
  // Creates the folder, or resumes it: the records already there are kept; torn and corrupt lines are dropped, redone.
  // `manifest["identity"]` holds what must not change between a start and its resume (model, tokenizer, corpus,
  // convention ...): a difference throws Error(kConfig) that names each changed key with both values. Throws
  // Error(kConfig) when another process holds the folder, Error(kData) when it cannot be written.
  RunWriter(const std::filesystem::path& path, const Json& manifest);
  ~RunWriter();
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  // Records present when the folder was opened, in file order. Failed ones are not among them: they were dropped from
  // the file, to be tried again.
  const std::vector<DocumentRecord>& done() const;
  // Appends one checksummed line with one write(2), and syncs at most once a second (and in finish and the destructor).
  // On a full disk: Error(kData); what was complete stays, the partial line is cut back. Error(kData) also for an id
  // that has its record already. A summary of fewer records is removed: the run is unfinished again. Not thread-safe.
  void append(const DocumentRecord& record);
  // Writes summary.json (temporary file, fsync, rename).
  void finish(const Json& summary);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lmbits
