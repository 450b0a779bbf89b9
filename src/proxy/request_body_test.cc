#include "proxy/request_body.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace signalbox::proxy {
namespace {

constexpr uint64_t kNoLimit = UINT64_MAX;

// What the reader reads of the next `bytes`, or of what there is.
std::string Read(BodyReader& reader, size_t bytes, WorkerMemory& memory) {
  BodyQueue to(memory);
  reader.MoveTo(to, std::min(bytes, reader.bytes()));
  std::string read;
  while (!to.empty()) {
    const Piece piece = to.TakeFront(to.bytes());
    read.append(piece.data, piece.size);
  }
  return read;
}

TEST(RequestBody, WhatIsNotKeptIsReadOnceAndGone) {
  WorkerMemory memory;
  RequestBody body(memory);
  BodyReader reader;
  reader.Begin(body);
  body.Append("abcdef", {});
  EXPECT_EQ(Read(reader, 4, memory), "abcd");
  EXPECT_EQ(body.bytes(), 2);
  EXPECT_EQ(body.TakeReleasable(), 4);
  EXPECT_EQ(body.TakeReleasable(), 0);
  EXPECT_FALSE(body.whole());
  EXPECT_FALSE(body.MayBegin());
}

TEST(RequestBody, WhatNobodyHasReadCanBeReadByTheNext) {
  WorkerMemory memory;
  RequestBody body(memory);
  body.Append("abc", {});
  {
    BodyReader reader;
    reader.Begin(body);
    EXPECT_FALSE(body.MayBegin()) << "beside another, when it is not kept";
  }
  ASSERT_TRUE(body.MayBegin());
  BodyReader next;
  next.Begin(body);
  EXPECT_EQ(Read(next, 9, memory), "abc");
}

TEST(RequestBody, WhatIsKeptIsReadAgainFromTheBeginning) {
  WorkerMemory memory;
  KeptBytes all;
  RequestBody body(memory);
  body.Append("ab", {});
  body.Keep(100, all, kNoLimit);
  {
    BodyReader first;
    first.Begin(body);
    EXPECT_EQ(Read(first, 1, memory), "a");
    body.Append("cd", {});
    EXPECT_EQ(Read(first, 9, memory), "bcd");
    EXPECT_EQ(body.TakeReleasable(), 4) << "as the first reads";
  }
  BodyReader second;
  second.Begin(body);
  EXPECT_EQ(Read(second, 9, memory), "abcd");
  EXPECT_EQ(body.TakeReleasable(), 0) << "window is given back once";
  body.Append("e", {});
  body.End();
  EXPECT_EQ(all.now, 5);
  EXPECT_FALSE(second.exhausted());
  EXPECT_EQ(Read(second, 9, memory), "e");
  EXPECT_TRUE(second.exhausted());
  body.StopKeeping();
  EXPECT_EQ(body.bytes(), 0);
  EXPECT_EQ(all.now, 0);
}

TEST(RequestBody, OneThatIsTooLongIsKeptNoMoreAndGoesOn) {
  WorkerMemory memory;
  KeptBytes all;
  RequestBody body(memory);
  body.Keep(4, all, kNoLimit);
  BodyReader reader;
  reader.Begin(body);
  body.Append("abcd", {});
  EXPECT_EQ(Read(reader, 3, memory), "abc");
  EXPECT_TRUE(body.MayBegin());
  body.Append("e", {});
  EXPECT_TRUE(body.was_too_long());
  EXPECT_FALSE(body.whole());
  EXPECT_EQ(body.bytes(), 2) << "what was read is gone";
  EXPECT_EQ(all.now, 0);
  EXPECT_EQ(Read(reader, 9, memory), "de");
  EXPECT_EQ(body.TakeReleasable(), 5);
}

TEST(RequestBody, AllOfAnObjectiveTogetherHaveALimit) {
  WorkerMemory memory;
  KeptBytes all;
  RequestBody one(memory);
  one.Keep(100, all, 6);
  one.Append("abcd", {});
  EXPECT_TRUE(one.kept());
  RequestBody other(memory);
  other.Keep(100, all, 6);
  other.Append("efg", {});
  EXPECT_FALSE(other.kept());
  EXPECT_TRUE(other.was_too_long());
  EXPECT_TRUE(one.kept());
  EXPECT_EQ(all.now, 4);
}

TEST(RequestBody, WhatIsTooLongForTwoReadersWaitsForTheSlower) {
  WorkerMemory memory;
  KeptBytes all;
  RequestBody body(memory);
  body.Keep(4, all, kNoLimit);
  BodyReader fast;
  fast.Begin(body);
  {
    BodyReader slow;
    slow.Begin(body);
    body.Append("abcd", {});
    EXPECT_EQ(Read(fast, 4, memory), "abcd");
    EXPECT_EQ(body.TakeReleasable(), 4);
    body.Append("efgh", {});
    EXPECT_EQ(Read(fast, 4, memory), "efgh");
    EXPECT_EQ(body.TakeReleasable(), 0) << "the slower has read nothing";
    EXPECT_EQ(Read(slow, 6, memory), "abcdef");
    EXPECT_EQ(body.TakeReleasable(), 4) << "the faster is not ahead by more than the limit";
    body.Append("ijkl", {});
    EXPECT_EQ(Read(fast, 4, memory), "ijkl");
    EXPECT_EQ(body.TakeReleasable(), 2);
  }
  EXPECT_EQ(body.TakeReleasable(), 2) << "when the slower is gone, nobody waits for it";
  EXPECT_EQ(body.bytes(), 0);
}

TEST(RequestBody, DroppedBytesAreGivenBackAndReadByNobody) {
  WorkerMemory memory;
  KeptBytes all;
  RequestBody body(memory);
  body.Keep(100, all, kNoLimit);
  BodyReader reader;
  reader.Begin(body);
  body.Append("abcd", {});
  Read(reader, 1, memory);
  body.Clear();
  EXPECT_TRUE(reader.empty());
  EXPECT_EQ(body.TakeReleasable(), 4);
  EXPECT_EQ(all.now, 0);
}

// Whatever comes in whatever parts, and whoever reads how much when: each reader gets the body, and window is given
// back once for each byte, and never for more than was received.
TEST(RequestBody, EveryReaderGetsTheSameBody) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 500; ++round) {
    WorkerMemory memory;
    KeptBytes all;
    RequestBody body(memory);
    const size_t limit = random() % 20'000;
    body.Keep(limit, all, kNoLimit);
    std::deque<BodyReader> readers(1 + random() % 3);
    std::vector<std::string> read(readers.size());
    for (BodyReader& reader : readers) reader.Begin(body);
    std::string sent;
    size_t released = 0;
    for (int step = 0; step < 60; ++step) {
      if (random() % 2 == 0) {
        std::string part(random() % 1500, static_cast<char>('a' + step % 26));
        body.Append(part, {});
        sent += part;
      }
      const size_t who = random() % readers.size();
      read[who] += Read(readers[who], random() % 3000, memory);
      released += body.TakeReleasable();
      ASSERT_LE(released, sent.size()) << "seed " << seed;
      ASSERT_GE(body.bytes() + released, sent.size()) << "seed " << seed;
    }
    for (size_t i = 0; i < readers.size(); ++i) {
      read[i] += Read(readers[i], sent.size(), memory);
      ASSERT_TRUE(read[i] == sent) << "reader " << i << ", seed " << seed;
    }
    ASSERT_EQ(released + body.TakeReleasable(), sent.size()) << "seed " << seed;
    if (body.was_too_long()) {
      // Of several readers the last place is still looked at.
      ASSERT_LE(body.bytes(), kSmallBlockBytes) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace signalbox::proxy
