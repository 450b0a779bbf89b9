// What both ends of api/signalbox/v1/distribution.proto agree on beyond its messages.
#pragma once

#include <chrono>

namespace signalbox::distribution {

// The largest SnapshotUpdate. All rule sets and the placement together; a thousand experiments are below 1 MiB.
constexpr int kUpdateBytesMax = 64 << 20;
// The largest SubscriberStatus; what is longer in it is cut off by the subscriber.
constexpr int kStatusBytesMax = 64 << 10;
constexpr int kRefusalReasonBytesMax = 8 << 10;
constexpr int kNodeIdBytesMax = 256;

// A subscriber that pings more often than this loses its connection.
constexpr std::chrono::milliseconds kPingIntervalMin{500};

}  // namespace signalbox::distribution
