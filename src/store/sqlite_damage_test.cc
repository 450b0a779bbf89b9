// What the store says when its file, its folder or its disk is not as it should be.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "store/sqlite_store.h"

namespace signalbox::store {
namespace {

using ::testing::HasSubstr;

constexpr char kHome[] = "rules/home";

class SqliteDamageTest : public testing::Test {
 protected:
  std::string Path() const { return folder_.File("store.db"); }

  absl::StatusOr<std::unique_ptr<Store>> Open(OpenMode mode = OpenMode::kCreateIfMissing) const {
    return OpenStore("sqlite:" + Path(), mode);
  }

  static absl::Status Publish(Store& store, std::string content, std::string topic = kHome) {
    return store.Publish({std::move(topic), std::move(content), "ada", "", {}}).status();
  }

  // Does what no code of ours does: changes the file behind the store's back.
  void RunSql(const std::string& sql) const {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(Path().c_str(), &connection), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(connection);
  }

  TestFolder folder_;
};

// Runs `body` in a child process (limits and user ids cannot be taken back) and gives what it returned.
absl::Status InChild(const std::function<absl::Status()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return absl::InternalError("pipe");
  pid_t child = fork();
  if (child == 0) {
    absl::Status status = body();
    std::string text = std::to_string(static_cast<int>(status.code())) + " " + std::string(Message(status));
    ssize_t written = write(ends[1], text.data(), text.size());
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(got));
  close(ends[0]);
  int state = 0;
  waitpid(child, &state, 0);
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0 || text.empty()) return absl::InternalError("the child died");
  size_t space = text.find(' ');
  return absl::Status(static_cast<absl::StatusCode>(std::stoi(text)), text.substr(space + 1));
}

// As a user without rights: root may write everywhere.
absl::Status InChildWithoutRights(const std::function<absl::Status()>& body) {
  return InChild([&] {
    constexpr uid_t kNobody = 65534;
    if (getuid() == 0 && (setgid(kNobody) != 0 || setuid(kNobody) != 0)) return absl::InternalError("setuid");
    return body();
  });
}

TEST_F(SqliteDamageTest, AMissingFolderIsNotFound) {
  absl::Status status = OpenStore("sqlite:" + folder_.File("none/store.db"), OpenMode::kCreateIfMissing).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(folder_.File("none/store.db")));
}

TEST_F(SqliteDamageTest, AMissingStoreIsNotMadeByAReader) {
  EXPECT_EQ(Open(OpenMode::kExisting).status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(access(Path().c_str(), F_OK), 0);
}

TEST_F(SqliteDamageTest, AFolderInPlaceOfTheFileIsNotFound) {
  ASSERT_EQ(mkdir(Path().c_str(), 0755), 0);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteDamageTest, AFileThatIsNoDatabaseIsRefusedAndLeftAsItIs) {
  std::string text = "Dear diary, " + std::string(4096, '.');
  ASSERT_TRUE(WriteFileAtomically(Path(), text).ok());
  absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("not a store"));
  EXPECT_EQ(ReadFile(Path(), 1 << 20).value(), text);
}

TEST_F(SqliteDamageTest, ADatabaseOfAnotherApplicationIsRefusedAndLeftAsItIs) {
  RunSql("CREATE TABLE recipes (name TEXT)");
  std::string before = ReadFile(Path(), 1 << 20).value();
  absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("another application"));
  EXPECT_EQ(ReadFile(Path(), 1 << 20).value(), before);
}

TEST_F(SqliteDamageTest, AStoreOfANewerReleaseIsRefused) {
  ASSERT_TRUE(Open().ok());
  RunSql("PRAGMA user_version=3");
  absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("its format is 3, this release reads formats up to 2"));
}

TEST_F(SqliteDamageTest, PublishedVersionsCannotBeChangedEvenByHand) {
  ASSERT_TRUE(Publish(**Open(), "a").ok());
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(Path().c_str(), &connection), SQLITE_OK);
  for (const char* sql : {"UPDATE versions SET content = 'b'", "DELETE FROM versions",
                          "REPLACE INTO versions VALUES (1, 'rules/home', 1, '', '', '', 0, 0, x'')",
                          "INSERT INTO versions VALUES (7, 'rules/home', 2, '', '', '', 0, 0, x'')",
                          "INSERT INTO versions VALUES (2, 'rules/home', 3, '', '', '', 0, 0, x'')"}) {
    EXPECT_EQ(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr), SQLITE_CONSTRAINT) << sql;
  }
  sqlite3_close(connection);
}

TEST_F(SqliteDamageTest, ContentThatDoesNotMatchItsHashIsDataLossOfThatVersionAlone) {
  {
    auto store = *Open();
    ASSERT_TRUE(Publish(*store, "a").ok());
    ASSERT_TRUE(Publish(*store, "b", "rules/search").ok());
  }
  RunSql("DROP TRIGGER versions_are_never_changed; UPDATE versions SET content = x'00' WHERE topic = 'rules/home'");
  auto store = *Open();
  absl::Status status = store->Get(kHome, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("rules/home version 1 is damaged"));
  auto latest = store->Latest();
  ASSERT_TRUE(latest.ok()) << latest.status();
  EXPECT_EQ(latest->topics[0].content.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(*latest->topics[1].content, "b");
}

TEST_F(SqliteDamageTest, PublishingADamagedContentAgainRepairsTheTopic) {
  ASSERT_TRUE(Publish(**Open(), "a").ok());
  RunSql("DROP TRIGGER versions_are_never_changed; UPDATE versions SET content = x'00'");
  auto store = *Open();
  ASSERT_TRUE(Publish(*store, "a").ok());
  EXPECT_EQ(store->Get(kHome, std::nullopt)->info.version, 2);
}

TEST_F(SqliteDamageTest, DamagedPagesAreAnErrorAndNeverACrash) {
  {
    auto store = *Open();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(Publish(*store, std::string(3000, static_cast<char>('a' + i % 26))).ok());
  }
  const std::string whole = ReadFile(Path(), 16 << 20).value();
  int errors = 0;
  // Every page in turn is overwritten, and the file cut off there.
  for (size_t page = 0; page * 4096 < whole.size(); ++page) {
    for (bool cut : {false, true}) {
      std::string damaged = whole.substr(0, cut ? page * 4096 + 100 : whole.size());
      if (!cut) damaged.replace(page * 4096, 4096, std::string(4096, '\x5a'));
      std::filesystem::remove(Path() + "-wal");
      ASSERT_TRUE(WriteFileAtomically(Path(), damaged).ok());
      auto store = Open();
      absl::Status status = store.status();
      for (int64_t version = 1; status.ok() && version <= 50; ++version)
        status = (*store)->Get(kHome, version).status();
      if (!status.ok()) {
        ++errors;
        EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) || absl::IsNotFound(status))
            << status;
      }
    }
  }
  EXPECT_GT(errors, 50);
}

TEST_F(SqliteDamageTest, AReadOnlyFileIsReadAndSaysWhyItIsNotWritten) {
  ASSERT_TRUE(Publish(**Open(), "a").ok());
  ASSERT_EQ(chmod(Path().c_str(), 0444), 0);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0777), 0);
  absl::Status status = InChildWithoutRights([&] {
    ASSIGN_OR_RETURN(auto store, Open());
    RETURN_IF_ERROR(store->Get(kHome, 1).status());
    return Publish(*store, "b");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("write permission"));
}

TEST_F(SqliteDamageTest, AReadOnlyFolderSaysWhatIsNeeded) {
  ASSERT_EQ(chmod(folder_.path().c_str(), 0555), 0);
  absl::Status status = InChildWithoutRights([&] { return Open().status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("its folder"));
}

TEST_F(SqliteDamageTest, AStoreThatIsFullGoesOnBeingRead) {
  SqliteOptions options;
  options.path = Path();
  options.file_bytes_max = 256 << 10;
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  absl::Status status;
  int64_t published = 0;
  for (; status.ok() && published < 100; ++published)
    status = Publish(**store, std::string(16 << 10, static_cast<char>('a' + published % 26)));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("used up; nothing was written"));
  EXPECT_EQ((*store)->Get(kHome, std::nullopt)->info.version, published - 1);
}

TEST_F(SqliteDamageTest, ADiskThatIsFullIsResourceExhaustedAndKeepsWhatWasPublished) {
  absl::Status status = InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{300 << 10, 300 << 10};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return absl::InternalError("setrlimit");
    ASSIGN_OR_RETURN(auto store, Open());
    absl::Status result;
    int64_t published = 0;
    for (; result.ok() && published < 100; ++published)
      result = Publish(*store, std::string(16 << 10, static_cast<char>('a' + published % 26)));
    ASSIGN_OR_RETURN(Version newest, store->Get(kHome, std::nullopt));
    if (newest.info.version != published - 1) return absl::InternalError("an acknowledged version is missing");
    return result;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  // With room again the store goes on.
  EXPECT_TRUE(Publish(**Open(), "there is room").ok());
}

TEST_F(SqliteDamageTest, ADiskWithoutRoomForEvenTheLogsIndexIsResourceExhausted) {
  ASSERT_TRUE(Publish(**Open(), "a").ok());
  absl::Status status = InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{512, 512};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return absl::InternalError("setrlimit");
    return Open(OpenMode::kExisting).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ((*Open())->Get(kHome, std::nullopt)->content, "a");
}

TEST_F(SqliteDamageTest, AStoreThatIsLockedIsUnavailable) {
  ASSERT_TRUE(Open().ok());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(Path().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  SqliteOptions options;
  options.path = Path();
  options.busy_timeout = std::chrono::milliseconds(20);
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  absl::Status status = Publish(**store, "a");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("locked by another process for more than 20 ms"));
  sqlite3_close(other);
  EXPECT_TRUE(Publish(**store, "a").ok());
}

TEST_F(SqliteDamageTest, APublishIntoAFileThatWasDeletedIsRefused) {
  auto store = *Open();
  auto watch = *store->WatchChanges(0);
  ASSERT_EQ(unlink(Path().c_str()), 0);
  EXPECT_EQ(Publish(*store, "a").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(watch->Next(std::chrono::seconds(10)).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace signalbox::store
