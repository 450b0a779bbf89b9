// Compares live answers with those of shadows, on a thread of its own that lets the workers go before it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "signalbox/v1/rules.pb.h"
#include "telemetry/shadow_records.h"

namespace signalbox::proxy {

// What a shadow's answer leaves to be done.
struct ShadowResult {
  telemetry::ShadowSeries* series = nullptr;
  // Its series, outcome and reason are filled in where a comparison finds them.
  telemetry::ShadowReport report;
  // How the answers are to be compared; not set: `report` is complete.
  std::optional<v1::Comparison> comparison;
  // gRPC messages with their prefixes, as they came. The live one may belong to several shadows.
  std::shared_ptr<const std::string> live;
  std::string shadow;

  size_t bytes() const { return shadow.size() + (live == nullptr ? 0 : live->size()); }
};

// Thread-safe.
class ShadowComparer {
 public:
  // Of what waits. Comparing takes about 1 ms for an answer of 256 KiB.
  static constexpr size_t kResultsMax = 1024;
  static constexpr size_t kBytesMax = 64 << 20;

  // `records` outlives it.
  explicit ShadowComparer(telemetry::ShadowRecords& records);
  // Finishes what waits.
  ~ShadowComparer();
  ShadowComparer(const ShadowComparer&) = delete;
  ShadowComparer& operator=(const ShadowComparer&) = delete;

  // False, and nothing done, when too much waits already. Never waits: the thread gets the processor last, and a lock
  // that it held would keep a worker for as long.
  bool Add(ShadowResult result);

 private:
  struct Node {
    ShadowResult result;
    std::unique_ptr<Node> next;
  };
  void Run();
  void FinishAll(std::unique_ptr<Node> newest);
  void Finish(ShadowResult result);
  void Wake();

  telemetry::ShadowRecords& records_;
  std::atomic<size_t> waiting_{0};
  std::atomic<size_t> bytes_{0};        // of what waits
  std::atomic<Node*> newest_{nullptr};  // a list; only ever taken as a whole
  std::atomic<uint32_t> changes_{0};    // what the thread waits for
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace signalbox::proxy
