#include "store/sqlite_database.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/status.h"

namespace signalbox::store {

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, bool create,
                                                         std::chrono::milliseconds busy_timeout) {
  sqlite3* connection = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (create ? SQLITE_OPEN_CREATE : 0);
  int result = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  // Also after a failure there is a connection, which holds the error.
  std::unique_ptr<Database> database(new Database(path, connection, busy_timeout));
  if (result != SQLITE_OK) return database->ToStatus(result, "open");
  sqlite3_busy_timeout(connection, static_cast<int>(busy_timeout.count()));
  return database;
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  int result = sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (result != SQLITE_OK) return ToStatus(result, "read");
  return Statement(this, statement);
}

absl::Status Database::Execute(const char* sql) const {
  int result = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ToStatus(result, "write");
}

absl::StatusOr<int64_t> Database::QueryInteger(std::string_view sql) const {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(bool row, statement.Step());
  if (!row) return absl::InternalError(fmt::format("{}: no row for: {}", path_, sql));
  return statement.Integer(0);
}

// The errno of the last failed call on the database file or its write-ahead log. 0: there was none.
int Database::LastErrno() const {
  for (int which : {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER}) {
    sqlite3_file* file = nullptr;
    if (sqlite3_file_control(connection_.get(), "main", which, &file) != SQLITE_OK) continue;
    if (file == nullptr || file->pMethods == nullptr) continue;
    int error = 0;
    if (file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) == SQLITE_OK && error != 0) return error;
  }
  return 0;
}

absl::Status Database::CannotOpen(std::string_view detail) const {
  std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  if (folder.empty()) folder = ".";
  const char* what = "cannot be opened; is it a file?";
  auto code = absl::StatusCode::kNotFound;
  if (access(folder.c_str(), F_OK) != 0) {
    what = "its folder does not exist";
  } else if (access(folder.c_str(), W_OK) != 0) {
    what = "cannot be opened; the user needs write permission for the file and for its folder";
    code = absl::StatusCode::kPermissionDenied;
  } else if (access(path_.c_str(), F_OK) != 0) {
    what = "does not exist";
  } else if (access(path_.c_str(), R_OK) != 0) {
    what = "may not be read; the user needs read and write permission for the file and for its folder";
    code = absl::StatusCode::kPermissionDenied;
  }
  return absl::Status(code, fmt::format("store sqlite:{}: {} ({})", path_, what, detail));
}

absl::Status Database::ToStatus(int result, std::string_view action) const {
  const std::string detail =
      fmt::format("{}: {}", action, connection_ ? sqlite3_errmsg(connection_.get()) : sqlite3_errstr(result));
  auto message = [&](std::string_view what) { return fmt::format("store sqlite:{}: {} ({})", path_, what, detail); };
  constexpr std::string_view kFull =
      "the disk, or the permitted file size, is used up; nothing was written; make room and try again";
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(
          message(fmt::format("locked by another process for more than {} ms; try again", busy_timeout_.count())));
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message(kFull));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(
          message("may not be written; the user needs write permission for the file and for its folder"));
    case SQLITE_NOTADB:
      return absl::FailedPreconditionError(message("not a store: the file is something else, or its start is damaged"));
    case SQLITE_CORRUPT:
      return absl::DataLossError(message("the file is damaged; restore it from a backup (docs/operators.md)"));
    case SQLITE_CANTOPEN:
      return CannotOpen(detail);
    case SQLITE_IOERR: {
      // A limit of the user's (ulimit -f, a quota) comes as an I/O error. So does a full disk when the first who opens
      // the file makes the index of its log, which readers need as well; SQLite keeps no errno of that.
      const int error = LastErrno();
      if (result == SQLITE_IOERR_SHMSIZE || error == EFBIG || error == ENOSPC || error == EDQUOT)
        return absl::ResourceExhaustedError(message(kFull));
      return absl::UnavailableError(message(fmt::format("the disk failed: {}", std::strerror(error))));
    }
    default:
      return absl::InternalError(message("unexpected"));
  }
}

void Statement::Keep(int result) {
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

Statement& Statement::BindInteger(int64_t value) {
  Keep(sqlite3_bind_int64(statement_.get(), next_parameter_++, value));
  return *this;
}

Statement& Statement::BindText(std::string_view value) {
  Keep(sqlite3_bind_text64(statement_.get(), next_parameter_++, value.data(), value.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(std::string_view value) {
  // A null pointer would bind NULL.
  Keep(sqlite3_bind_blob64(statement_.get(), next_parameter_++, value.empty() ? "" : value.data(), value.size(),
                           SQLITE_STATIC));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_result_ != SQLITE_OK) return database_->ToStatus(bind_result_, "bind");
  int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return database_->ToStatus(result, sqlite3_stmt_readonly(statement_.get()) ? "read" : "write");
}

int64_t Statement::Integer(int column) { return sqlite3_column_int64(statement_.get(), column); }

std::string Statement::Bytes(int column) {
  // The pointer first: asking for it may convert, which changes the size.
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  auto size = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

absl::StatusOr<Transaction> Transaction::Begin(const Database& database, const char* begin) {
  RETURN_IF_ERROR(database.Execute(begin));
  return Transaction(database);
}

Transaction::~Transaction() {
  // A failure means that SQLite has rolled back by itself.
  if (database_ != nullptr) (void)database_->Execute("ROLLBACK");
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace signalbox::store
