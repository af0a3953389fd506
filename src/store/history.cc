#include "src/store/history.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/utc.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchema = R"sql(
CREATE TABLE sources (path TEXT PRIMARY KEY);
CREATE TABLE models (
  id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, name TEXT NOT NULL, tokenizer TEXT, step INTEGER, tokens REAL,
  flops REAL, parameters INTEGER, metadata TEXT NOT NULL, UNIQUE (name, fingerprint));
CREATE TABLE corpora (
  id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (name, fingerprint));
CREATE TABLE environments (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, description TEXT NOT NULL);
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE,
  model_id INTEGER NOT NULL REFERENCES models, corpus_id INTEGER NOT NULL REFERENCES corpora,
  environment_id INTEGER NOT NULL REFERENCES environments,
  convention TEXT NOT NULL, dtype TEXT NOT NULL, path TEXT NOT NULL, stamp TEXT NOT NULL, content TEXT NOT NULL,
  started TEXT NOT NULL, imported TEXT NOT NULL, manifest TEXT NOT NULL, summary TEXT NOT NULL);
CREATE INDEX runs_by_path ON runs (path);
CREATE INDEX runs_by_corpus ON runs (corpus_id, model_id, started);
CREATE TABLE totals (
  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE, n_documents INTEGER NOT NULL, n_failed INTEGER NOT NULL,
  n_bytes INTEGER NOT NULL, n_chars INTEGER NOT NULL, n_tokens INTEGER NOT NULL, n_scored INTEGER NOT NULL,
  bits REAL NOT NULL, bits_per_byte REAL, lo REAL, hi REAL, level REAL);
CREATE TABLE corpus_documents (
  id INTEGER PRIMARY KEY, corpus_id INTEGER NOT NULL REFERENCES corpora, name BLOB NOT NULL, n_bytes INTEGER NOT NULL,
  n_chars INTEGER NOT NULL, UNIQUE (corpus_id, name, n_bytes));
CREATE TABLE documents (
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, document_id INTEGER NOT NULL REFERENCES corpus_documents,
  n_tokens INTEGER NOT NULL, n_scored INTEGER NOT NULL, n_forward INTEGER NOT NULL, bits REAL, bits_squared REAL,
  lossless INTEGER NOT NULL, error TEXT, block_bytes INTEGER, block_bits BLOB,
  PRIMARY KEY (run_id, document_id)) WITHOUT ROWID;
)sql";

// Sizes and times of a run's files: unchanged, they need not be read again.
std::string stamp_of(const fs::path& folder) {
  std::string stamp;
  for (const char* name : {"manifest.json", "documents.jsonl", "summary.json"}) {
    struct stat info {};
    if (::stat((folder / name).c_str(), &info) != 0) return {};
    stamp += std::to_string(info.st_ino) + ":" + std::to_string(info.st_size) + ":" +
             std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + " ";
  }
  return stamp;
}

// Of the records and the summary, so that a run with other ones is known as changed.
std::string content_of(const Run& run) {
  Fingerprint content;
  content.add(run.summary.dump());
  for (const DocumentRecord& record : run.records)
    content.add(to_json(record).dump(-1, ' ', false, Json::error_handler_t::replace));
  return content.hex();
}

Json environment_of(const Json& manifest) {
  return {{"device", manifest.value("device", Json(nullptr))}, {"versions", manifest.value("versions", Json(nullptr))}};
}

// Equal for the same work done twice.
std::string fingerprint_of(const Json& manifest) {
  const Json identity = {{"identity", manifest.at("identity")},
                         {"model", manifest.at("model").at("name")},
                         {"corpus", manifest.at("corpus").at("name")},
                         {"environment", environment_of(manifest)}};
  return Fingerprint().add(identity.dump()).hex();
}

template <typename T>
std::optional<T> value_of(const Json& object, const char* key) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<T>();
}

std::string as_blob(const std::vector<double>& values) {
  std::string bytes(values.size() * sizeof(double), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<double> from_blob(const std::string& bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
  return values;
}

}  // namespace

History::History(const fs::path& file, Sqlite::Access access) : file_(file), database_(file, access) {
  if (access == Sqlite::Access::kWrite) migrate();
  Statement version = database_.prepare("PRAGMA user_version");
  version.step();
  if (version.integer(0) != kHistorySchema) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + " has the history's schema " + std::to_string(version.integer(0)) +
                    ", this lmbits reads " + std::to_string(kHistorySchema),
                version.integer(0) > kHistorySchema ? "use the lmbits that wrote it, or another --db"
                                                    : "lmbits history import brings it up to date");
  }
}

// One step from each schema to the next; a new file has schema 0.
void History::migrate() {
  Transaction transaction(database_);
  Statement version = database_.prepare("PRAGMA user_version");
  version.step();
  if (version.integer(0) == 0) database_.run(kSchema);
  if (version.integer(0) < kHistorySchema) {
    version.run();
    database_.run(("PRAGMA user_version = " + std::to_string(kHistorySchema)).c_str());
  }
  version.run();
  transaction.commit();
}

ImportOutcome History::import(const fs::path& runs) {
  ImportOutcome outcome;
  const fs::path folder = fs::weakly_canonical(runs);
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kData, runs.string() + " is no folder", "name a folder that lmbits eval -o wrote");
  }
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (fs::exists(entry.path() / "manifest.json")) found.push_back(entry.path());
  }
  if (fs::exists(folder / "manifest.json")) found.push_back(folder);
  std::sort(found.begin(), found.end());
  for (const fs::path& run : found) {
    try {
      import_run(run, outcome);
    } catch (const DamagedDatabase&) {
      throw;
    } catch (const Error& e) {
      if (std::string(e.what()).starts_with(file_.string())) throw;  // of the history, not of the run
      outcome.unreadable.push_back(run.filename().string() + ": " + e.what());
    }
  }
  database_.prepare("INSERT OR IGNORE INTO sources VALUES (?)").bind(folder.string()).run();
  return outcome;
}

std::int64_t History::id_of(const char* table, const std::string& fingerprint, const Json& columns) {
  std::string names = "fingerprint", marks = "?", where = "fingerprint = ?";
  for (const auto& [key, value] : columns.items()) {
    names += ", " + key;
    marks += ", ?";
  }
  const bool named = columns.contains("name");
  if (named) where += " AND name = ?";
  Statement find = database_.prepare("SELECT id FROM " + std::string(table) + " WHERE " + where);
  find.bind(fingerprint);
  if (named) find.bind(columns["name"].get<std::string>());
  if (find.step()) return find.integer(0);
  Statement add = database_.prepare("INSERT INTO " + std::string(table) + " (" + names + ") VALUES (" + marks + ")");
  add.bind(fingerprint);
  for (const auto& [key, value] : columns.items()) {
    if (value.is_null()) {
      add.bind(nullptr);
    } else if (value.is_number_integer()) {
      add.bind(value.get<std::int64_t>());
    } else if (value.is_number()) {
      add.bind(value.get<double>());
    } else {
      add.bind(value.get<std::string>());
    }
  }
  add.run();
  return database_.last_row_id();
}

void History::import_run(const fs::path& folder, ImportOutcome& outcome) {
  const std::string stamp = stamp_of(folder);  // before reading: a change meanwhile is seen next time
  if (stamp.empty()) {
    ++outcome.n_unfinished;
    return;
  }
  Statement known = database_.prepare("SELECT 1 FROM runs WHERE path = ? AND stamp = ?");
  if (known.bind(folder.string()).bind(stamp).step()) {
    ++outcome.n_unchanged;
    return;
  }
  const Run run = read_run(folder);
  if (run.summary.is_null()) {
    ++outcome.n_unfinished;
    return;
  }
  const std::string fingerprint = fingerprint_of(run.manifest);
  const std::string content = content_of(run);
  Transaction transaction(database_);
  Statement same = database_.prepare("SELECT id, content FROM runs WHERE fingerprint = ?");
  const bool is_known = same.bind(fingerprint).step();
  if (is_known && same.text(1) == content) {
    Statement touch = database_.prepare("UPDATE runs SET path = ?, stamp = ? WHERE id = ?");
    touch.bind(folder.string()).bind(stamp).bind(same.integer(0)).run();
    same.run();
    transaction.commit();
    ++outcome.n_unchanged;
    return;
  }
  if (is_known) {
    database_.prepare("DELETE FROM runs WHERE id = ?").bind(same.integer(0)).run();
    same.run();
  }
  const std::int64_t corpus = corpus_of(run.manifest);
  add_run(run, {.folder = folder, .stamp = stamp, .fingerprint = fingerprint, .content = content}, corpus);
  const std::int64_t id = database_.last_row_id();
  add_totals(id, run);
  write_documents(id, corpus, run.records);
  transaction.commit();
  ++(is_known ? outcome.n_updated : outcome.n_added);
}

std::int64_t History::model_of(const Json& manifest) {
  const Json& identity = manifest.at("identity");
  const Json model = manifest.at("model"), metadata = model.value("metadata", Json(nullptr));
  const Json training = metadata.is_object() ? metadata.value("training", Json(nullptr)) : Json(nullptr);
  const Json parameters = metadata.is_object() ? metadata.value("parameters", Json(nullptr)) : Json(nullptr);
  return id_of("models", identity.at("model"),
               {{"name", model.at("name")},
                {"tokenizer", identity.value("tokenizer", Json(nullptr))},
                {"step", to_json_or_null(value_of<std::int64_t>(training, "step"))},
                {"tokens", to_json_or_null(value_of<double>(training, "tokens"))},
                {"flops", to_json_or_null(value_of<double>(training, "flops"))},
                {"parameters", to_json_or_null(value_of<std::int64_t>(parameters, "total"))},
                {"metadata", metadata.dump()}});
}

std::int64_t History::corpus_of(const Json& manifest) {
  return id_of("corpora", manifest.at("identity").at("corpus"), {{"name", manifest.at("corpus").at("name")}});
}

void History::add_run(const Run& run, const RunSource& source, std::int64_t corpus) {
  const Json& identity = run.manifest.at("identity");
  const std::string environment = environment_of(run.manifest).dump();
  const std::int64_t model_id = model_of(run.manifest);
  const std::int64_t environment_id =
      id_of("environments", Fingerprint().add(environment).hex(), {{"description", environment}});
  database_
      .prepare(
          "INSERT INTO runs (fingerprint, model_id, corpus_id, environment_id, convention, dtype, path, stamp, content,"
          " started, imported, manifest, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(source.fingerprint)
      .bind(model_id)
      .bind(corpus)
      .bind(environment_id)
      .bind(identity.at("convention").at("name").get<std::string>())
      .bind(identity.value("dtype", std::string()))
      .bind(source.folder.string())
      .bind(source.stamp)
      .bind(source.content)
      .bind(run.manifest.value("started", std::string()))
      .bind(utc_now())
      .bind(run.manifest.dump())
      .bind(run.summary.dump())
      .run();
}

void History::add_totals(std::int64_t run_id, const Run& run) {
  const Totals totals = total(run.records);
  const Json interval = run.summary.value("interval", Json(nullptr));
  const bool bounded = interval.is_object() && interval.contains("bits_per_byte");
  const auto bound = [&](std::size_t end) {
    return bounded ? std::optional<double>(interval["bits_per_byte"][end].get<double>()) : std::nullopt;
  };
  database_.prepare("INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(run_id)
      .bind(totals.n_documents)
      .bind(totals.n_failed)
      .bind(totals.n_bytes)
      .bind(totals.n_chars)
      .bind(totals.n_tokens)
      .bind(totals.n_scored)
      .bind(totals.bits)
      .bind(totals.bits_per_byte())
      .bind(bound(0))
      .bind(bound(1))
      .bind(value_of<double>(interval, "level"))
      .run();
}

void History::write_documents(std::int64_t run, std::int64_t corpus, const std::vector<DocumentRecord>& records) {
  Statement find =
      database_.prepare("SELECT id FROM corpus_documents WHERE corpus_id = ? AND name = ? AND n_bytes = ?");
  Statement name =
      database_.prepare("INSERT INTO corpus_documents (corpus_id, name, n_bytes, n_chars) VALUES (?, ?, ?, ?)");
  Statement add = database_.prepare("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const DocumentRecord& record : records) {
    std::int64_t document = 0;
    if (find.bind(corpus).bind_blob(record.id).bind(record.n_bytes).step()) {
      document = find.integer(0);
      find.run();
    } else {
      name.bind(corpus).bind_blob(record.id).bind(record.n_bytes).bind(record.n_chars).run();
      document = database_.last_row_id();
    }
    const bool failed = !record.error.empty();
    add.bind(run).bind(document).bind(record.n_tokens).bind(record.n_scored).bind(record.n_forward);
    if (failed) {
      add.bind(nullptr).bind(nullptr);
    } else {
      add.bind(record.bits).bind(record.bits_squared);
    }
    add.bind(static_cast<std::int64_t>(record.lossless));
    add.bind(failed ? std::optional<std::string_view>(record.error) : std::nullopt);
    if (record.block_bits.empty()) {
      add.bind(nullptr).bind(nullptr);
    } else {
      add.bind(record.block_bytes).bind_blob(as_blob(record.block_bits));
    }
    add.run();
  }
}

std::vector<HistoryRun> History::runs(const HistoryFilter& filter) const {
  Statement query = database_.prepare(R"sql(
SELECT * FROM (
  SELECT runs.id, runs.fingerprint, runs.path, models.name AS model, corpora.name AS corpus, runs.convention, runs.dtype,
    models.fingerprint, corpora.fingerprint, runs.started AS started, models.step AS step, totals.n_documents, totals.n_failed,
    totals.n_bytes, totals.n_tokens, totals.bits, totals.bits_per_byte, totals.lo, totals.hi
  FROM runs JOIN models ON models.id = runs.model_id JOIN corpora ON corpora.id = runs.corpus_id
    JOIN totals ON totals.run_id = runs.id
  WHERE (?1 = '' OR models.name GLOB ?1) AND (?2 = '' OR corpora.name GLOB ?2) AND (?3 = '' OR runs.convention GLOB ?3)
  ORDER BY runs.started DESC, runs.id DESC LIMIT ?4)
ORDER BY corpus, convention, model, started)sql");
  query.bind(filter.model)
      .bind(filter.corpus)
      .bind(filter.convention)
      .bind(filter.last > 0 ? filter.last : std::int64_t{-1});
  const auto optional_real = [&](int column) {
    return query.is_null(column) ? std::nullopt : std::optional<double>(query.real(column));
  };
  std::vector<HistoryRun> runs;
  while (query.step()) {
    HistoryRun run;
    run.id = query.integer(0);
    run.fingerprint = query.text(1);
    run.path = query.text(2);
    run.model = query.text(3);
    run.corpus = query.text(4);
    run.convention = query.text(5);
    run.dtype = query.text(6);
    run.model_fingerprint = query.text(7);
    run.corpus_fingerprint = query.text(8);
    run.started = query.text(9);
    if (!query.is_null(10)) run.step = query.integer(10);
    run.n_documents = query.integer(11);
    run.n_failed = query.integer(12);
    run.n_bytes = query.integer(13);
    run.n_tokens = query.integer(14);
    run.bits = query.real(15);
    run.bits_per_byte = optional_real(16);
    run.lo = optional_real(17);
    run.hi = optional_real(18);
    runs.push_back(std::move(run));
  }
  return runs;
}

bool History::has_run(std::int64_t id) const {
  return database_.prepare("SELECT 1 FROM runs WHERE id = ?").bind(id).step();
}

Run History::run(std::int64_t id) const {
  Run run;
  Statement head = database_.prepare("SELECT path, manifest, summary FROM runs WHERE id = ?");
  if (!head.bind(id).step()) {
    throw Error(ErrorKind::kData, file_.string() + " has no run " + std::to_string(id),
                "lmbits history list shows them");
  }
  run.path = head.text(0);
  run.manifest = Json::parse(head.text(1));
  run.summary = Json::parse(head.text(2));
  head.run();
  Statement query = database_.prepare(
      "SELECT name, n_bytes, n_chars, n_tokens, n_scored, n_forward, bits, bits_squared, lossless, error, block_bytes, "
      "block_bits FROM documents JOIN corpus_documents ON corpus_documents.id = document_id WHERE run_id = ?");
  query.bind(id);
  while (query.step()) {
    DocumentRecord record;
    record.id = query.text(0);
    record.n_bytes = query.integer(1);
    record.n_chars = query.integer(2);
    record.n_tokens = query.integer(3);
    record.n_scored = query.integer(4);
    record.n_forward = query.integer(5);
    record.bits = query.real(6);  // 0 for NULL
    record.bits_squared = query.real(7);
    record.lossless = query.integer(8) != 0;
    record.error = query.text(9);
    record.block_bytes = query.integer(10);
    record.block_bits = from_blob(query.text(11));
    run.records.push_back(std::move(record));
  }
  return run;
}

std::vector<std::string> History::sources() const {
  Statement query = database_.prepare("SELECT path FROM sources ORDER BY path");
  std::vector<std::string> paths;
  while (query.step()) paths.push_back(query.text(0));
  return paths;
}

std::vector<std::string> History::check() const {
  std::vector<std::string> problems;
  Statement pages = database_.prepare("PRAGMA integrity_check(20)");
  while (pages.step()) {
    if (pages.text(0) != "ok") problems.push_back(pages.text(0));
  }
  Statement keys = database_.prepare("PRAGMA foreign_key_check");
  while (keys.step()) problems.push_back("a row of " + keys.text(0) + " belongs to nothing");
  Statement sums = database_.prepare(
      "SELECT runs.path, totals.bits, total(documents.bits), totals.n_documents, count(documents.bits) FROM runs JOIN "
      "totals ON "
      "totals.run_id = runs.id LEFT JOIN documents ON documents.run_id = runs.id GROUP BY runs.id");
  while (sums.step()) {
    const double all = sums.real(1), of_documents = sums.real(2);
    if (sums.integer(3) != sums.integer(4) || std::abs(all - of_documents) > 1e-9 * std::abs(all)) {
      problems.push_back(sums.text(0) + ": " + std::to_string(sums.integer(3)) + " documents with " +
                         std::to_string(all) + " bits in all, but the documents are " +
                         std::to_string(sums.integer(4)) + " with " + std::to_string(of_documents));
    }
  }
  return problems;
}

std::unique_ptr<History> open_or_rebuild_history(const fs::path& file, const std::vector<fs::path>& sources,
                                                 std::string& note) {
  std::vector<std::string> known;
  std::string why;
  try {
    auto history = std::make_unique<History>(file, Sqlite::Access::kWrite);
    known = history->sources();
    const std::vector<std::string> problems = history->check();
    if (problems.empty()) return history;
    why = problems.front();
  } catch (const DamagedDatabase& e) {
    why = e.what();
  }
  const std::string aside = file.string() + ".damaged-" + utc_now();
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::error_code ignored;
    fs::rename(file.string() + suffix, aside + suffix, ignored);
  }
  auto history = std::make_unique<History>(file, Sqlite::Access::kWrite);
  for (const fs::path& source : sources) known.push_back(fs::weakly_canonical(source).string());
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  std::int64_t n_runs = 0;
  for (const std::string& source : known) {
    if (fs::is_directory(source)) n_runs += history->import(source).n_added;
  }
  note = file.string() + " was damaged (" + why + "); it was set aside as " + aside + " and made again from " +
         std::to_string(n_runs) + " runs";
  return history;
}

}  // namespace lmbits
