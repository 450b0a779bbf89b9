// SQLite's C interface as values: a connection, a statement, and errors that say what to do. Internal to src/store.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::store {

// One prepared statement, with values bound in order of the question marks. An error while binding is kept and returned
// by the next Step().
class Statement {
 public:
  Statement(Statement&&) = default;
  Statement& operator=(Statement&&) = default;

  Statement& BindInteger(int64_t value);
  // The bytes are copied.
  Statement& BindText(std::string_view value);
  // The bytes are not copied: they must stay until the last Step().
  Statement& BindBlob(std::string_view value);

  // True: there is a row to read. False: the statement is done.
  absl::StatusOr<bool> Step();

  int64_t Integer(int column);
  // Text or blob. A copy: SQLite's own goes away with the next Step().
  std::string Bytes(int column);

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Statement(const class Database* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  void Keep(int result);

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int next_parameter_ = 1;
  int bind_result_ = SQLITE_OK;
};

// One connection. For one thread at a time. Must stay where it is while a Statement of it lives.
class Database {
 public:
  // The file is opened by its path, never as a URI. `create`: makes the file, not its folder.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, bool create,
                                                        std::chrono::milliseconds busy_timeout);

  absl::StatusOr<Statement> Prepare(std::string_view sql) const;
  // Runs statements that give no rows anybody wants.
  absl::Status Execute(const char* sql) const;
  // The first column of the only row.
  absl::StatusOr<int64_t> QueryInteger(std::string_view sql) const;

  const std::string& path() const { return path_; }
  // What a result code other than SQLITE_OK means here.
  absl::Status ToStatus(int result, std::string_view action) const;

 private:
  int LastErrno() const;
  absl::Status CannotOpen(std::string_view detail) const;

  struct Closer {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  Database(std::string path, sqlite3* connection, std::chrono::milliseconds busy_timeout)
      : path_(std::move(path)), busy_timeout_(busy_timeout), connection_(connection) {}

  std::string path_;
  std::chrono::milliseconds busy_timeout_;
  std::unique_ptr<sqlite3, Closer> connection_;
};

// Ends in a rollback unless Commit() succeeded.
class Transaction {
 public:
  // `begin`: "BEGIN" to read at one moment, "BEGIN IMMEDIATE" to write.
  static absl::StatusOr<Transaction> Begin(const Database& database, const char* begin);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  absl::Status Commit();

 private:
  explicit Transaction(const Database& database) : database_(&database) {}
  const Database* database_;
};

}  // namespace signalbox::store
