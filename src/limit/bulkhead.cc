#include "limit/bulkhead.h"

#include <algorithm>

namespace signalbox::limit {

Bulkhead& Bulkheads::Of(std::string_view objective) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Bulkhead>& bulkhead = by_objective_[objective];
  if (bulkhead == nullptr) {
    bulkhead = std::make_unique<Bulkhead>();
    bulkhead->objective = objective;
  }
  return *bulkhead;
}

std::vector<Bulkheads::State> Bulkheads::States() const {
  const std::lock_guard lock(mutex_);
  std::vector<State> states;
  for (const auto& [objective, bulkhead] : by_objective_) {
    const int64_t requests = bulkhead->requests.load(std::memory_order_relaxed);
    const int64_t bytes = bulkhead->bytes.load(std::memory_order_relaxed);
    if (requests != 0 || bytes != 0) states.push_back({objective, requests, std::max<int64_t>(0, bytes)});
  }
  std::sort(states.begin(), states.end(), [](const State& a, const State& b) { return a.objective < b.objective; });
  return states;
}

WorkerBulkheads::Full WorkerBulkheads::Enter(std::string_view objective, uint32_t requests_max, uint64_t bytes_max,
                                             Berth& berth) {
  auto found = known_.find(objective);
  if (found == known_.end()) {
    Bulkhead& made = bulkheads_.Of(objective);
    found = known_.emplace(made.objective, &made).first;
  }
  Bulkhead& bulkhead = *found->second;
  const auto requests = static_cast<int64_t>(requests_max == 0 ? kBulkheadRequests : requests_max);
  const auto bytes = static_cast<int64_t>(bytes_max == 0 ? kBulkheadBytes : bytes_max);
  if (bulkhead.bytes.load(std::memory_order_relaxed) >= bytes) return Full::kBytes;
  // Counted first: of several that come at once to the last place one gets it.
  if (bulkhead.requests.fetch_add(1, std::memory_order_relaxed) >= requests) {
    bulkhead.requests.fetch_sub(1, std::memory_order_relaxed);
    return Full::kRequests;
  }
  berth.Release();
  berth.bulkhead_ = &bulkhead;
  return Full::kNo;
}

}  // namespace signalbox::limit
