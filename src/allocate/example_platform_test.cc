// The example's platform, which evaluates flags with the OpenFeature project's flagd core, in Node: OFREP as others
// speak it.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "allocate/allocator.h"
#include "allocate/test_worker.h"
#include "base/child_process.h"
#include "base/test_folder.h"

namespace signalbox::allocate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{60};

class ExamplePlatform : public ::testing::Test {
 protected:
  void Start(const std::string& token_of_platform, const std::string& token_of_ours) {
    const std::string examples = SIGNALBOX_SOURCE_DIR "/examples/platforms/";
    auto platform = ChildProcess::Start(
        {.name = "platform",
         .command = {SIGNALBOX_NODE, examples + "platform.mjs", examples + "flags.json", "--port-file",
                     folder_.File("http"), "--grpc-port-file", folder_.File("grpc"), "--token", token_of_platform},
         .log_file = folder_.File("log")});
    ASSERT_TRUE(platform.ok()) << platform.status();
    platform_ = std::make_unique<ChildProcess>(*std::move(platform));
    const auto http = platform_->WaitForPort(folder_.File("http"), kPatience);
    const auto grpc = platform_->WaitForPort(folder_.File("grpc"), kPatience);
    ASSERT_TRUE(http.ok() && grpc.ok()) << http.status() << grpc.status();
    PlatformOptions ofrep;
    ofrep.name = "ofrep";
    ofrep.address = "http://127.0.0.1:" + std::to_string(*http);
    ofrep.token = token_of_ours;
    PlatformOptions ours = ofrep;
    ours.name = "grpc";
    ours.protocol = PlatformOptions::Protocol::kGrpc;
    ours.address = "127.0.0.1:" + std::to_string(*grpc);
    allocator_ = Allocator::Start({ofrep, ours}, [](std::string_view) {});
  }

  static Question About(std::string_view platform, std::string_view flag, std::string_view unit) {
    return {.platform = platform,
            .flag = flag,
            .unit = unit,
            .context = {},
            .attributes = {},
            .ttl = seconds(300),
            .deadline = milliseconds(1000)};
  }

  TestFolder folder_;
  std::unique_ptr<ChildProcess> platform_;
  std::unique_ptr<Allocator> allocator_;
};

TEST_F(ExamplePlatform, GivesEachUserOneCellOverBothProtocols) {
  Start("secret-1", "secret-1");
  TestWorker worker(*allocator_);
  std::map<std::string, int> users;
  const Field context[] = {{"country", "US"}};
  for (int i = 0; i < 200; ++i) {
    const std::string user = "user-" + std::to_string(i);
    Question over_http = About("ofrep", "ranker-test", user);
    over_http.context = context;
    Question over_grpc = About("grpc", "ranker-test", user);
    over_grpc.context = context;
    const std::string cell = worker.Ask(over_http);
    EXPECT_EQ(worker.Ask(over_grpc), cell) << user;
    ++users[cell];
  }
  EXPECT_EQ(users.size(), 2U);
  EXPECT_GT(users["control"], 50);
  EXPECT_GT(users["treatment"], 50);
}

TEST_F(ExamplePlatform, LooksAtTheContext) {
  Start("secret-1", "secret-1");
  TestWorker worker(*allocator_);
  const Field context[] = {{"country", "DE"}};
  for (int i = 0; i < 20; ++i) {
    const std::string user = "user-" + std::to_string(i);
    Question question = About("ofrep", "ranker-test", user);
    question.context = context;
    EXPECT_EQ(worker.Ask(question), "control") << user;
  }
}

TEST_F(ExamplePlatform, HasNoCellWhereAFlagIsSwitchedOffOrMissingOrTheTokenIsWrong) {
  Start("secret-1", "secret-1");
  TestWorker worker(*allocator_);
  for (const char* platform : {"ofrep", "grpc"}) {
    auto exchanges = [&](Result result) {
      return MetricOf(*allocator_, "signalbox_allocation_exchanges_total", {platform, std::string(Name(result))});
    };
    EXPECT_EQ(worker.Ask(About(platform, "switched-off", "u1")), "");
    EXPECT_EQ(exchanges(Result::kNoCell), 1) << platform;
    EXPECT_EQ(worker.Ask(About(platform, "no-such-flag", "u1")), "");
    EXPECT_EQ(exchanges(Result::kNotFound), 1) << platform;
    if (std::string_view(platform) == "ofrep") {
      EXPECT_EQ(worker.Ask(About(platform, "ranker-test", "")), "");
      EXPECT_EQ(exchanges(Result::kRefused), 1) << platform;
    }
  }
}

TEST_F(ExamplePlatform, DoesNotAnswerWhoHasTheWrongToken) {
  Start("secret-1", "secret-2");
  TestWorker worker(*allocator_);
  for (const char* platform : {"ofrep", "grpc"}) {
    EXPECT_EQ(worker.Ask(About(platform, "ranker-test", "u1")), "");
    EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_exchanges_total", {platform, "unauthorised"}), 1);
  }
}

}  // namespace
}  // namespace signalbox::allocate
