// A publisher is killed at random moments, again and again: nothing that it was told is published may be lost.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/test_folder.h"
#include "store/store.h"

namespace signalbox::store {
namespace {

constexpr char kTopic[] = "rules/home";

// Content that is different for each (round, number), and some pages long so that a commit has several.
std::string Content(uint32_t round, int64_t number) {
  return std::to_string(round) + ":" + std::to_string(number) + ":" +
         std::string(static_cast<size_t>(number * 977 % 20'000), static_cast<char>('a' + number % 26));
}

struct Acknowledgement {
  int64_t version = 0;
  int64_t number = 0;
};

// Publishes until it is killed; tells of every acknowledged version through `pipe_end`. A write of this size is atomic.
[[noreturn]] void PublishForEver(const std::string& spec, uint32_t round, int pipe_end) {
  auto store = OpenStore(spec, OpenMode::kCreateIfMissing);
  if (!store.ok()) _exit(2);
  for (int64_t number = 1;; ++number) {
    auto published = (*store)->Publish({kTopic, Content(round, number), "crash", "", {}});
    if (!published.ok()) _exit(3);
    Acknowledgement acknowledgement{published->info.version, number};
    if (write(pipe_end, &acknowledgement, sizeof acknowledgement) != sizeof acknowledgement) _exit(4);
  }
}

TEST(Crash, NoAcknowledgedPublishIsLostHoweverOftenThePublisherIsKilled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  printf("seed %u\n", seed);
  std::mt19937 random(seed);
  TestFolder folder;
  const std::string spec = "sqlite:" + folder.File("store.db");
  constexpr uint32_t kRounds = 60;
  int64_t newest = 0;
  size_t acknowledged_total = 0;

  for (uint32_t round = 0; round < kRounds; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) PublishForEver(spec, round, ends[1]);
    close(ends[1]);
    // The moment of the kill is what is random here; nothing is waited for.
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int>(0, 60'000)(random)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int state = 0;
    ASSERT_EQ(waitpid(child, &state, 0), child);
    ASSERT_TRUE(WIFSIGNALED(state)) << "the publisher ended by itself: " << state;
    std::vector<Acknowledgement> acknowledged;
    for (Acknowledgement next; read(ends[0], &next, sizeof next) == sizeof next;) acknowledged.push_back(next);
    close(ends[0]);

    auto store = OpenStore(spec, OpenMode::kCreateIfMissing);
    ASSERT_TRUE(store.ok()) << store.status();
    for (const Acknowledgement& next : acknowledged) {
      auto version = (*store)->Get(kTopic, next.version);
      ASSERT_TRUE(version.ok()) << version.status();
      ASSERT_EQ(version->content, Content(round, next.number));
    }
    acknowledged_total += acknowledged.size();
    // Contiguous, and at most the one publish that was under way is there without an acknowledgement.
    auto latest = (*store)->Latest();
    ASSERT_TRUE(latest.ok()) << latest.status();
    if (latest->topics.empty()) continue;
    auto history = (*store)->History(kTopic, kHistoryVersionsMax);
    ASSERT_TRUE(history.ok()) << history.status();
    // A fast machine gets further than one call of History reaches back.
    ASSERT_EQ(history->size(), std::min(static_cast<size_t>(latest->sequence), kHistoryVersionsMax));
    for (size_t i = 0; i < history->size(); ++i)
      ASSERT_EQ((*history)[i].version, latest->sequence - static_cast<int64_t>(i));
    ASSERT_LE(latest->sequence - newest - static_cast<int64_t>(acknowledged.size()), 1);
    newest = latest->sequence;
  }
  printf("%zu acknowledged publishes in %u rounds, %ld versions\n", acknowledged_total, kRounds,
         static_cast<long>(newest));
  EXPECT_GT(acknowledged_total, 0u);
}

}  // namespace
}  // namespace signalbox::store
