#include "proxy/deadline_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace signalbox::proxy {
namespace {

struct Entry {
  Deadline deadline;
};

TEST(DeadlineQueue, HasTheEarliestFirstWhateverIsAddedAndRemoved) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  std::vector<Entry> entries(200);
  std::vector<Entry*> in;
  DeadlineQueue<Entry> queue;
  for (int round = 0; round < 20'000; ++round) {
    Entry& entry = entries[random() % entries.size()];
    const auto place = std::find(in.begin(), in.end(), &entry);
    if (place == in.end()) {
      entry.deadline.at = Time(std::chrono::nanoseconds(random() % 1000));
      queue.Add(entry);
      in.push_back(&entry);
    } else {
      queue.Remove(entry);
      queue.Remove(entry);  // nothing happens
      in.erase(place);
    }
    ASSERT_EQ(queue.empty(), in.empty());
    if (in.empty()) continue;
    const auto earliest =
        std::min_element(in.begin(), in.end(), [](Entry* a, Entry* b) { return a->deadline.at < b->deadline.at; });
    ASSERT_EQ(queue.first().deadline.at, (*earliest)->deadline.at) << "seed " << seed << " round " << round;
  }
}

}  // namespace
}  // namespace signalbox::proxy
