// A proxy without a control plane while its files are edited: changed, broken, taken away, mended. Real processes, real
// clients, real hosts.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/resource.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/test_folder.h"
#include "tests/support/echo_host.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using ::testing::HasSubstr;

class ReloadTest : public ::testing::Test {
 protected:
  ReloadTest() : ReloadTest("rules.js") {}
  // `rules`: what --rules is given, in the test's folder.
  explicit ReloadTest(const std::string& rules) {
    WriteRules(1);
    WritePlacement(one_);
    auto proxy = ChildProcess::Start(
        {.name = "proxy",
         .command = {SignalboxProgram(), "proxy", "--workers", "1", "--listen", "127.0.0.1:0", "--port-file",
                     folder_.File("port"), "--admin", "127.0.0.1:0", "--admin-port-file", folder_.File("admin"),
                     "--rules", folder_.File(rules), "--placement", placement_},
         .log_file = log_});
    EXPECT_TRUE(proxy.ok()) << proxy.status();
    proxy_.emplace(*std::move(proxy));
    auto port = proxy_->WaitForPort(folder_.File("port"), kPatience);
    EXPECT_TRUE(port.ok()) << port.status();
    client_ = std::make_unique<testing::EchoClient>(port.value_or(0));
    admin_port_ = proxy_->WaitForPort(folder_.File("admin"), kPatience).value_or(0);
  }

  void Write(const std::string& file, const std::string& text) { ASSERT_TRUE(WriteFileAtomically(file, text).ok()); }
  void WriteRules(int version) {
    Write(rules_, fmt::format("export default [{{objective: Objectives.Ranking, defaultModel: {{name: 'ranker', "
                              "version: {}}}}}];\n",
                              version));
  }
  void WritePlacement(const testing::EchoHost& host) {
    Write(placement_, fmt::format(R"({{"shards": {{"s1": ["{}"]}}, "models": {{"ranker": ["s1"]}}}})", host.address()));
  }

  // "MODEL from HOST"; a request that fails says so instead.
  std::string Answer() {
    const testing::Reply reply = client_->Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Ranking"}}});
    if (!reply.status.ok()) return reply.status.error_message();
    return fmt::format("{} from {}", reply.header("sb-model"), reply.header("host-name"));
  }
  bool WaitForAnswer(const std::string& answer) {
    return WaitUntil([&] { return Answer() == answer; });
  }

  std::string SnapshotField(const std::string& field) const {
    httplib::Client admin("127.0.0.1", admin_port_);
    const httplib::Result page = admin.Get("/snapshot");
    const auto json = page ? nlohmann::json::parse(page->body, nullptr, /*allow_exceptions=*/false) : nlohmann::json();
    return json.is_object() ? json.value(field, "") : "no page";
  }
  // The page tells of a snapshot once every worker runs it, so that requests may meet it a moment before.
  std::string Refusal() const { return SnapshotField("last_refusal"); }
  bool WaitForRefusal() const {
    return WaitUntil([&] { return !Refusal().empty(); });
  }
  bool WaitForNoRefusal() const {
    return WaitUntil([&] { return Refusal().empty(); });
  }
  bool WaitForLog(const std::string& text) const {
    return WaitUntil([&] { return ReadFile(log_, 1 << 20).value_or("").find(text) != std::string::npos; });
  }

  TestFolder folder_;
  const std::string rules_ = folder_.File("rules.js");
  const std::string placement_ = folder_.File("placement.json");
  const std::string log_ = folder_.File("log");
  testing::EchoHost one_{"one"};
  testing::EchoHost two_{"two"};
  std::optional<ChildProcess> proxy_;
  std::unique_ptr<testing::EchoClient> client_;
  int admin_port_ = 0;
};

TEST_F(ReloadTest, AChangeOfTheRulesOrOfThePlacementReachesRequests) {
  EXPECT_EQ(Answer(), "ranker@1 from one");
  const std::string first = SnapshotField("hash");
  WriteRules(2);
  EXPECT_TRUE(WaitForAnswer("ranker@2 from one"));
  EXPECT_TRUE(WaitUntil([&] { return SnapshotField("hash") != first; }));
  WritePlacement(two_);
  EXPECT_TRUE(WaitForAnswer("ranker@2 from two"));
  WriteRules(1);
  WritePlacement(one_);
  EXPECT_TRUE(WaitForAnswer("ranker@1 from one"));
  EXPECT_TRUE(WaitUntil([&] { return SnapshotField("hash") == first; }));
  EXPECT_TRUE(proxy_->Stop(kPatience)) << proxy_->Report();
}

class FolderReloadTest : public ReloadTest {
 protected:
  FolderReloadTest() : ReloadTest(".") {}
};

TEST_F(FolderReloadTest, AFileThatComesOrGoesInAFolderOfRulesReachesRequests) {
  EXPECT_EQ(Answer(), "ranker@1 from one");
  const std::string more = folder_.File("canary.js");
  Write(folder_.File("canary.test.js"), "no test, and no rule either");
  Write(more,
        "export default [{trafficShiftId: 'canary', targetObjectives: Objectives.Ranking, percentage: 100,\n"
        "  toModel: {name: 'ranker', version: 2}}, {contextRuleId: 'all', targetObjectives: Objectives.Ranking,\n"
        "  when: when.user.exists().not(), model: {name: 'ranker', version: 3}}];\n");
  EXPECT_TRUE(WaitForAnswer("ranker@3 from one"));
  ASSERT_TRUE(std::filesystem::remove(more));
  EXPECT_TRUE(WaitForAnswer("ranker@1 from one"));
  EXPECT_EQ(Refusal(), "");
}

TEST_F(ReloadTest, AChangeOfAnImportedFileReachesRequestsToo) {
  const std::string common = folder_.File("common.js");
  Write(rules_,
        "import {version} from './common.js';\n"
        "export default [{objective: Objectives.Ranking, defaultModel: {name: 'ranker', version}}];\n");
  ASSERT_TRUE(WaitForRefusal());
  EXPECT_THAT(Refusal(), HasSubstr("import: there is no file"));
  Write(common, "export const version = 2;");
  EXPECT_TRUE(WaitForAnswer("ranker@2 from one"));
  Write(common, "export const version = 3;");
  EXPECT_TRUE(WaitForAnswer("ranker@3 from one"));
}

TEST_F(ReloadTest, BrokenRulesAreRefusedAndTheSameRulesAsBeforeEndTheRefusal) {
  const std::string hash = SnapshotField("hash");
  Write(rules_, "export default [{objective: ");
  ASSERT_TRUE(WaitForRefusal());
  EXPECT_THAT(Refusal(), HasSubstr("rules.js:1:"));
  EXPECT_TRUE(WaitForLog("refused, what ran goes on"));
  EXPECT_EQ(Answer(), "ranker@1 from one");
  EXPECT_EQ(SnapshotField("hash"), hash);

  WriteRules(1);
  EXPECT_TRUE(WaitForNoRefusal());
  EXPECT_TRUE(WaitForLog("the files are good again"));
  EXPECT_EQ(Answer(), "ranker@1 from one");
}

TEST_F(ReloadTest, BrokenRulesThatBecomeOtherGoodOnesTakeEffect) {
  Write(rules_, "export default 5;");
  ASSERT_TRUE(WaitForRefusal());
  WriteRules(3);
  EXPECT_TRUE(WaitForAnswer("ranker@3 from one"));
  EXPECT_TRUE(WaitForNoRefusal());
  EXPECT_TRUE(WaitForLog("the files are good again"));
}

TEST_F(ReloadTest, APlacementThatIsBrokenOrTakenAwayIsRefusedUntilItIsBack) {
  Write(placement_, "{\"shards\": ");
  ASSERT_TRUE(WaitForRefusal());
  EXPECT_THAT(Refusal(), HasSubstr("placement.json"));
  EXPECT_EQ(Answer(), "ranker@1 from one");
  WritePlacement(one_);
  ASSERT_TRUE(WaitForNoRefusal());

  std::filesystem::rename(placement_, placement_ + ".away");
  ASSERT_TRUE(WaitForRefusal());
  EXPECT_EQ(Answer(), "ranker@1 from one");
  std::filesystem::rename(placement_ + ".away", placement_);
  EXPECT_TRUE(WaitForNoRefusal());
  EXPECT_EQ(Answer(), "ranker@1 from one");
}

// As under a storm of connections. The file does not change any more once it can be read again.
TEST_F(ReloadTest, AChangeThatCannotBeReadForWantOfFileDescriptorsIsTriedAgain) {
  ASSERT_EQ(Answer(), "ranker@1 from one");  // opens the connections that this needs
  rlimit before{};
  ASSERT_EQ(prlimit(proxy_->pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(prlimit(proxy_->pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  WriteRules(2);
  ASSERT_TRUE(WaitForLog("refused, what ran goes on"));
  ASSERT_EQ(prlimit(proxy_->pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  EXPECT_TRUE(WaitForAnswer("ranker@2 from one"));
  EXPECT_TRUE(WaitForNoRefusal());
}

}  // namespace
}  // namespace signalbox
