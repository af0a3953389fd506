// What was scored when: models, corpora, environments, runs with their totals and documents, in one SQLite file.
//
// The run folders stay the source of truth. The history only repeats them, for questions over hundreds of runs; it may be
// deleted, and a damaged one is made again from the folders. Tables: docs/formats.md.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/store/run_directory.h"
#include "src/store/sqlite.h"

namespace lmbits {

inline constexpr int kHistorySchema = 1;

// A run as lists show it.
struct HistoryRun {
  std::int64_t id = 0;
  std::string fingerprint;  // of identity and environment: equal for the same work done twice
  std::string path;         // of its folder, when it was last imported
  std::string model, corpus, convention, dtype;
  std::string model_fingerprint, corpus_fingerprint;
  std::string started;               // UTC, as the manifest says
  std::optional<std::int64_t> step;  // of the training
  std::int64_t n_documents = 0, n_failed = 0, n_bytes = 0, n_tokens = 0;
  double bits = 0.0;
  std::optional<double> bits_per_byte, lo, hi;  // with its interval
};

struct HistoryFilter {  // empty: all. Names may hold * and ?
  std::string model, corpus, convention;
  std::int64_t last = 0;  // of the runs found, so many that started last
};

struct ImportOutcome {
  std::int64_t n_added = 0, n_updated = 0, n_unchanged = 0;
  std::int64_t n_unfinished = 0;        // runs without a summary: left for later
  std::vector<std::string> unreadable;  // run folders that could not be read, and why
};

class History {
 public:
  // kWrite creates the file, or brings an older schema to this one. Throws DamagedDatabase; Error(kData) where it cannot
  // be opened, Error(kUnsupported) where a newer lmbits wrote it.
  History(const std::filesystem::path& file, Sqlite::Access access);

  // Takes over every finished run directly below `runs`. The same run, by `fingerprint`, is never there twice: a second
  // import changes nothing, one with other records replaces it. A run is taken over whole or not at all. `runs` is
  // remembered as a source. A run whose files have the sizes and times of the last import is not read again.
  ImportOutcome import(const std::filesystem::path& runs);

  std::vector<HistoryRun> runs(const HistoryFilter& filter) const;  // by corpus, model, start
  bool has_run(std::int64_t id) const;
  // As it was read from its folder, but for the documents' `baselines` and `n_words`.
  Run run(std::int64_t id) const;
  std::vector<std::string> sources() const;  // folders that were imported
  // Empty where the file is sound: SQLite's own check of every page, and every run's sums over its documents.
  std::vector<std::string> check() const;

 private:
  void migrate();
  void import_run(const std::filesystem::path& folder, ImportOutcome& outcome);
  struct RunSource {
    std::filesystem::path folder;
    std::string stamp, fingerprint, content;
  };
  void add_run(const Run& run, const RunSource& source, std::int64_t corpus);
  void add_totals(std::int64_t run_id, const Run& run);
  std::int64_t model_of(const Json& manifest);
  std::int64_t corpus_of(const Json& manifest);
  std::int64_t id_of(const char* table, const std::string& fingerprint, const Json& columns);
  void write_documents(std::int64_t run, std::int64_t corpus, const std::vector<DocumentRecord>& records);

  std::filesystem::path file_;
  mutable Sqlite database_;
};

// Opens the history for writing; where the file is damaged, it is set aside (NAME.damaged-UTC, with its journals), made again
// from `sources` and from those it still names, and `note` says so.
std::unique_ptr<History> open_or_rebuild_history(const std::filesystem::path& file,
                                                 const std::vector<std::filesystem::path>& sources, std::string& note);

}  // namespace lmbits
