// The format of the file: older ones are brought to this one, and what is published stays as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <thread>

#include "base/hash.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "store/sqlite_store.h"
#include "store/test_engines.h"

namespace signalbox::store {
namespace {

using ::testing::HasSubstr;

// What the first release made, word by word.
constexpr char kFormat1[] = R"sql(
PRAGMA journal_mode=WAL;
CREATE TABLE versions (
  sequence     INTEGER PRIMARY KEY,
  topic        TEXT    NOT NULL,
  version      INTEGER NOT NULL,
  content_hash TEXT    NOT NULL,
  author       TEXT    NOT NULL,
  message      TEXT    NOT NULL,
  unix_ms      INTEGER NOT NULL,
  rollback_of  INTEGER NOT NULL,
  content      BLOB    NOT NULL,
  UNIQUE (topic, version)
) STRICT;
CREATE TRIGGER versions_are_never_changed BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'published versions are immutable'); END;
CREATE TRIGGER versions_are_never_deleted BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'published versions are immutable'); END;
CREATE TRIGGER versions_have_no_gaps BEFORE INSERT ON versions
WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM versions)
  OR NEW.version <> (SELECT coalesce(max(version), 0) + 1 FROM versions WHERE topic = NEW.topic)
BEGIN SELECT RAISE(ABORT, 'versions are appended one by one'); END;
PRAGMA application_id=1935830904;
PRAGMA user_version=1;
)sql";

class SqliteFormatTest : public testing::Test {
 protected:
  std::string Path() const { return folder_.File("store.db"); }

  absl::StatusOr<std::unique_ptr<Store>> Open(OpenMode mode = OpenMode::kExisting) const {
    return OpenStore("sqlite:" + Path(), mode);
  }

  // What a hand in the file can do: SQLITE_OK, or why not.
  int RunSql(const std::string& sql) const {
    sqlite3* connection = nullptr;
    EXPECT_EQ(sqlite3_open(Path().c_str(), &connection), SQLITE_OK);
    const int result = sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr);
    sqlite3_close(connection);
    return result;
  }

  void MakeFormat1() const {
    ASSERT_EQ(RunSql(kFormat1), SQLITE_OK);
    for (const char* content : {"one", "two"}) {
      const std::string number = content == std::string("one") ? "1" : "2";
      ASSERT_EQ(RunSql("INSERT INTO versions VALUES (" + number + ", 'rules/home', " + number + ", '" +
                       Sha256Hex(content) + "', 'ada', 'why', 1700000000000, 0, CAST('" + content + "' AS BLOB))"),
                SQLITE_OK);
    }
  }

  TestFolder folder_;
};

TEST_F(SqliteFormatTest, AFileOfTheFirstFormatIsMigratedWithAllThatIsInIt) {
  MakeFormat1();
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  auto history = (*store)->History("rules/home", 10);
  ASSERT_EQ(history->size(), 2u);
  EXPECT_EQ(history->at(1).author, "ada");
  EXPECT_EQ(history->at(1).unix_ms, 1'700'000'000'000);
  EXPECT_EQ((*store)->Get("rules/home", 1)->content, "one");
  Batch batch{.publications = {{"rules/home", "three", "ada", "", {.version = 2}}}, .records = {{"leader", "n1", 0}}};
  EXPECT_TRUE((*store)->Write(batch).ok());
  EXPECT_EQ(*(*store)->Prune("rules/home", 1, {}), 2u);
  // Once: another process finds the new format.
  EXPECT_EQ((*Open())->History("rules/home", 10)->size(), 3u);
}

TEST_F(SqliteFormatTest, ManyWhoOpenAnOldFileAtTheSameTimeMigrateItOnce) {
  MakeFormat1();
  std::vector<std::jthread> readers;
  for (int i = 0; i < 6; ++i) {
    readers.emplace_back([&] {
      auto store = Open();
      ASSERT_TRUE(store.ok()) << store.status();
      EXPECT_EQ((*store)->Get("rules/home", std::nullopt)->content, "two");
    });
  }
}

TEST_F(SqliteFormatTest, AMigrationThatFailsLeavesTheOldFormat) {
  MakeFormat1();
  // In the way of a table that the new format needs.
  ASSERT_EQ(RunSql("CREATE TABLE records (a TEXT)"), SQLITE_OK);
  EXPECT_FALSE(Open().ok());
  ASSERT_EQ(RunSql("DROP TABLE records; SELECT count(*) FROM dropped"), SQLITE_ERROR);
  EXPECT_EQ((*Open())->Get("rules/home", 1)->content, "one");
}

TEST_F(SqliteFormatTest, OnlyRetentionCanEmptyAContentAndNothingElseChanges) {
  {
    auto store = *Open(OpenMode::kCreateIfMissing);
    for (const char* content : {"one", "two", "three"})
      ASSERT_TRUE(store->Publish({"rules/home", content, "ada", "", {}}).ok());
    ASSERT_EQ(*store->Prune("rules/home", 2, {}), 1u);
  }
  for (const char* sql :
       {// What is not dropped cannot be emptied, and what is dropped cannot become something else.
        "UPDATE versions SET content = x'' WHERE sequence = 2",
        "UPDATE versions SET content = x'00' WHERE sequence = 1",
        "UPDATE versions SET author = 'eve' WHERE sequence = 1",
        "UPDATE versions SET unix_ms = 0, content = x'' WHERE sequence = 1",
        "UPDATE versions SET sequence = 9 WHERE sequence = 1", "DELETE FROM versions WHERE sequence = 1",
        // The newest, what is dropped already, what is not there, and a size that is a lie.
        "INSERT INTO dropped VALUES (3, 5)", "INSERT INTO dropped VALUES (1, 3)", "INSERT INTO dropped VALUES (7, 0)",
        "INSERT INTO dropped VALUES (2, 4)", "REPLACE INTO dropped VALUES (1, 4)",
        "UPDATE dropped SET content_bytes = 0", "DELETE FROM dropped",
        // Revisions only grow.
        "UPDATE counters SET records_revision = 0", "DELETE FROM counters", "REPLACE INTO counters VALUES (1, 0)",
        "INSERT INTO counters VALUES (2, 0)"}) {
    EXPECT_EQ(RunSql(sql), SQLITE_CONSTRAINT) << sql;
  }
  EXPECT_EQ(RunSql("INSERT INTO dropped VALUES (2, 3); UPDATE versions SET content = x'' WHERE sequence = 2"),
            SQLITE_OK);
  EXPECT_EQ((*Open())->Get("rules/home", 3)->content, "three");
}

TEST_F(SqliteFormatTest, WhatExpiresDoesNotOutliveTheMachinesStart) {
  TestClock clock;
  SqliteOptions options;
  options.path = Path();
  options.clock = clock.Get("first boot");
  Batch batch{.publications = {}, .records = {{"leader", "n1", 0, std::chrono::hours(1)}, {"stays", "s"}}};
  int64_t token = 0;
  {
    auto store = *OpenSqliteStore(options);
    auto written = store->Write(batch);
    ASSERT_TRUE(written.ok()) << written.status();
    token = written->records_revision;
  }
  options.clock = clock.Get("second boot");
  auto store = *OpenSqliteStore(options);
  EXPECT_EQ(*store->GetRecord("leader"), std::nullopt);
  EXPECT_EQ(store->Records("")->size(), 1u);
  absl::Status status = store->Write({.fence = Fence{"leader", token}}).status();
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no longer the leader"));
}

TEST_F(SqliteFormatTest, RevisionsGoOnWhenAllRecordsAreGone) {
  auto write = [&](RecordWrite record) {
    return (*Open(OpenMode::kCreateIfMissing))->Write({.publications = {}, .records = {record}})->records_revision;
  };
  const int64_t first = write({"a", "1"});
  EXPECT_EQ(write({"a", std::nullopt}), first + 1);
  EXPECT_EQ(write({"a", "2"}), first + 2);
}

}  // namespace
}  // namespace signalbox::store
