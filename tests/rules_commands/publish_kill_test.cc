// The real `signalbox rules publish` is killed at random moments, again and again: what it has said is published must
// be there.
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <random>
#include <thread>

#include "store/store.h"
#include "tests/rules_commands/rules_folder.h"

namespace signalbox {
namespace {

TEST(PublishKill, NoPublishThatWasAcknowledgedIsLostHoweverOftenThePublisherIsKilled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  RulesFolder folder;
  constexpr int kRounds = 150;
  // From the start of a process to its end is some 30 ms here. The longest wait follows the machine: it grows while
  // everything is killed too early, and shrinks while nothing is.
  int wait_us_max = 40'000;
  std::map<int64_t, std::string> acknowledged;  // mark by version
  int killed = 0;

  for (int round = 0; round < kRounds; ++round) {
    const std::string mark = "round" + std::to_string(round);
    auto publisher = ChildProcess::Start({.name = "publish",
                                          .command = {SignalboxProgram(), "rules", "publish", folder.WriteRules(mark),
                                                      "--store", folder.Spec(), "--json"},
                                          .log_file = folder.File("log")});
    ASSERT_TRUE(publisher.ok()) << publisher.status();
    // The moment of the kill is what is random here; nothing is waited for.
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<int>(wait_us_max / 4, wait_us_max)(random)));
    publisher->Signal(SIGKILL);
    ASSERT_TRUE(publisher->WaitForEnd(kPatience));
    const nlohmann::json said =
        nlohmann::json::parse(ReadFile(folder.File("log"), 1 << 20).value(), nullptr, /*allow_exceptions=*/false);
    if (said.is_object()) {
      ASSERT_EQ(said["ok"], true) << said;
      acknowledged[said["version"]] = mark;
    }
    const bool was_killed = !publisher->exit_code().has_value();
    killed += was_killed ? 1 : 0;
    wait_us_max = was_killed ? wait_us_max * 11 / 10 : wait_us_max * 9 / 10;
  }

  auto store = store::OpenStore(folder.Spec(), store::OpenMode::kExisting);
  ASSERT_TRUE(store.ok()) << store.status();
  auto history = (*store)->History("rules/default", store::kHistoryVersionsMax);
  ASSERT_TRUE(history.ok()) << history.status();
  for (size_t i = 0; i < history->size(); ++i)
    EXPECT_EQ((*history)[i].version, static_cast<int64_t>(history->size() - i));
  for (const auto& [version, mark] : acknowledged) {
    auto stored = (*store)->Get("rules/default", version);
    ASSERT_TRUE(stored.ok()) << stored.status();
    EXPECT_NE(stored->content.find("\"" + mark + "\""), std::string::npos) << stored->content;
  }
  printf("seed %u: %d of %d publishers killed, %zu acknowledged, %zu versions\n", seed, killed, kRounds,
         acknowledged.size(), history->size());
  EXPECT_GT(killed, kRounds / 10);
  EXPECT_GT(acknowledged.size(), 0u);
  EXPECT_LE(history->size(), acknowledged.size() + static_cast<size_t>(killed));
  // And it goes on.
  EXPECT_EQ(folder.Run("publish " + folder.WriteRules("the end")).exit_code, 0);
}

}  // namespace
}  // namespace signalbox
