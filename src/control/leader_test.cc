#include "control/leader.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/test_folder.h"
#include "store/store.h"

namespace signalbox::control {
namespace {

using namespace std::chrono_literals;

TEST(LeaderTest, WhereNothingHappensItSeldomTakesATurn) {
  const TestFolder folder;
  auto store = store::OpenStore("sqlite:" + folder.File("store.db"), store::OpenMode::kCreateIfMissing);
  ASSERT_TRUE(store.ok()) << store.status();
  const absl::Status published =
      (*store)
          ->Publish({std::string(store::kFleetTopic), R"({"shards":{"films":{}},"models":{}})", "ada", "", {}})
          .status();
  ASSERT_TRUE(published.ok()) << published;
  LeaderOptions options;
  options.node_id = "c1";
  options.lease = 3s;
  std::atomic<int> turns = 0;  // each asks for the subscribers, but not again within 50 ms
  const auto leader = Leader::Start(
      **store,
      [&turns] {
        ++turns;
        return std::vector<SubscriberInfo>();
      },
      options);

  // What it writes now is that it is still there: three times in a lease.
  auto watch = (*store)->WatchChanges(1);
  ASSERT_TRUE(watch.ok()) << watch.status();
  auto wait_for_writes = [&](int writes) {
    for (int64_t revision = (*watch)->records_revision(); writes > 0;) {
      const auto next = (*watch)->Next(30s);
      ASSERT_TRUE(next.ok()) << next.status();
      if ((*watch)->records_revision() != revision) --writes;
      revision = (*watch)->records_revision();
    }
  };
  wait_for_writes(1);
  while (!leader->status().leads) wait_for_writes(1);
  turns = 0;
  wait_for_writes(3);
  EXPECT_LT(turns, 30);
  EXPECT_TRUE(leader->status().leads);
}

}  // namespace
}  // namespace signalbox::control
