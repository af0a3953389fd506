#include "src/store/sqlite.h"

#include <sqlite3.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>

namespace lmbits {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

// On a local disk a write-ahead log lets readers read while one writes. It needs memory shared between the processes,
// which file systems of a network have not: there, the rollback journal. Unknown kinds count as the network's.
bool is_local(const std::filesystem::path& folder) {
  constexpr std::array<unsigned long, 7> kLocal = {0xEF53 /* ext */,
                                                   0x58465342 /* xfs */,
                                                   0x9123683E /* btrfs */,
                                                   0x2FC12FC1 /* zfs */,
                                                   0x01021994 /* tmpfs */,
                                                   0x794C7630 /* overlay */,
                                                   0xF2F52010 /* f2fs */};
  struct statfs info {};
  if (statfs(folder.c_str(), &info) != 0) return false;
  return std::find(kLocal.begin(), kLocal.end(), static_cast<unsigned long>(info.f_type)) != kLocal.end();
}

}  // namespace

DamagedDatabase::~DamagedDatabase() = default;

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(std::int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_.get(), ++n_bound_, value)) database_->fail(code);
  return *this;
}

Statement& Statement::bind(double value) {
  if (const int code = sqlite3_bind_double(statement_.get(), ++n_bound_, value)) database_->fail(code);
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  const int code =
      sqlite3_bind_text64(statement_.get(), ++n_bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code) database_->fail(code);
  return *this;
}

Statement& Statement::bind_blob(std::string_view bytes) {
  const int code = sqlite3_bind_blob64(statement_.get(), ++n_bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  if (code) database_->fail(code);
  return *this;
}

Statement& Statement::bind(std::nullptr_t) {
  if (const int code = sqlite3_bind_null(statement_.get(), ++n_bound_)) database_->fail(code);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement_.get());
  n_bound_ = 0;
  if (code != SQLITE_DONE) database_->fail(code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  return bytes ? std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)))
               : std::string();
}

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

Sqlite::Sqlite(const std::filesystem::path& path, Access access) : path_(path) {
  const int flags = access == Access::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (const int code = sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr)) {
    const std::string why = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
    sqlite3_close(handle_);
    throw Error(ErrorKind::kData, "cannot open " + path.string() + ": " + why,
                access == Access::kRead ? "name the history with --db" : "is the folder there, and may it be written?");
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  try {
    run("PRAGMA foreign_keys = ON");
    if (access == Access::kWrite) {
      const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
      run(is_local(folder) ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"
                           : "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL");
    }
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Sqlite::~Sqlite() { sqlite3_close_v2(handle_); }

void Sqlite::run(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr)) fail(code);
}

Statement Sqlite::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (const int code = sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr)) {
    fail(code);
  }
  return Statement(*this, statement);
}

std::int64_t Sqlite::last_row_id() const { return sqlite3_last_insert_rowid(handle_); }

void Sqlite::fail(int code) {
  const std::string what = path_.string() + ": " + sqlite3_errmsg(handle_);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw DamagedDatabase(ErrorKind::kData, what, "lmbits history rebuild makes it again from the run folders");
    case SQLITE_FULL:
      throw Error(ErrorKind::kData, what, "free some space; nothing that was recorded is lost");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorKind::kData, what + " for " + std::to_string(kBusyTimeoutMs / 1000) + " s",
                  "another process writes it; try again when that is done");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      throw Error(ErrorKind::kData, what, "may the folder be written, and does the disk answer?");
    default:
      throw std::logic_error("lmbits bug: " + what);
  }
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.run("ROLLBACK");
  } catch (const std::exception&) {  // SQLite has taken it back itself, after a full disk
  }
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace lmbits
