// SQLite in the few forms that the history needs: statements, values, transactions; its errors as ours.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lmbits {

// The file is no database, or a page of it is damaged: what it held has to come from elsewhere.
class DamagedDatabase : public Error {
 public:
  using Error::Error;
  ~DamagedDatabase() override;
};

class Statement {
 public:
  // Parameters are bound in their order: the first call binds ?1. An undefined value is NULL.
  Statement& bind(std::int64_t value);
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind_blob(std::string_view bytes);
  Statement& bind(std::nullptr_t);
  template <typename T>
  Statement& bind(const std::optional<T>& value) {
    return value ? bind(*value) : bind(nullptr);
  }

  bool step();  // is there a row? At the end the statement is ready for the next values.
  void run();   // for statements without rows

  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  // also of a blob
  bool is_null(int column) const;

 private:
  friend class Sqlite;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(class Sqlite& database, sqlite3_stmt* statement) : database_(&database), statement_(statement) {}

  class Sqlite* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int n_bound_ = 0;
};

// A database file. Errors: DamagedDatabase; Error(kData) on a full disk, a read-only folder, or a lock that another
// process held for more than ten seconds.
class Sqlite {
 public:
  enum class Access { kRead, kWrite };  // kWrite creates the file where it is not there
  Sqlite(const std::filesystem::path& path, Access access);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void run(const char* sql);  // one or more statements without rows
  Statement prepare(std::string_view sql);
  std::int64_t last_row_id() const;
  [[noreturn]] void fail(int code);

 private:
  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
};

// Begun when constructed; taken back when destroyed, unless committed. Also read transactions, for one view of several
// queries.
class Transaction {
 public:
  explicit Transaction(Sqlite& database) : database_(database) { database_.run("BEGIN IMMEDIATE"); }
  ~Transaction();
  void commit();

 private:
  Sqlite& database_;
  bool open_ = true;
};

}  // namespace lmbits
