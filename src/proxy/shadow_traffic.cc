#include "proxy/shadow_traffic.h"

#include <span>
#include <utility>

#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using telemetry::ShadowOutcome;

// Those of many snapshots; what is looked up again costs a lock.
constexpr size_t kSeriesMax = 1024;

}  // namespace

ShadowTraffic::ShadowTraffic(Worker& worker, const ShadowLimits& limits, telemetry::ShadowRecords& records,
                             ShadowComparer& comparer)
    : worker_(worker), limits_(limits), records_(records), comparer_(comparer) {}

ShadowTraffic::~ShadowTraffic() { Stop(); }

// --- Copies.

ShadowCopy* ShadowTraffic::NewCopy(const decide::Shadow& shadow) {
  const std::string_view objective = shadow.answer->objective;
  const std::string_view model = shadow.answer->model->id;
  // No name has a NUL.
  std::string key(objective);
  key.append(1, '\0').append(shadow.id).append(1, '\0').append(model);
  if (series_.size() >= kSeriesMax) series_.clear();
  telemetry::ShadowSeries*& series = series_[key];
  if (series == nullptr) series = &records_.SeriesOf(objective, shadow.id, model);

  const auto of_objective = objectives_.find(objective);
  const bool is_full =
      open_.size() >= limits_.copies_max || limits_.objective_copies_max == 0 ||
      (of_objective != objectives_.end() && of_objective->second->copies >= limits_.objective_copies_max);
  if (is_full) {
    series->Count(ShadowOutcome::kDroppedCopies);
    return nullptr;
  }
  std::unique_ptr<ShadowCopy> owned;
  if (free_.empty()) {
    owned = std::make_unique<ShadowCopy>(worker_, *this);
  } else {
    owned = std::move(free_.back());
    free_.pop_back();
  }
  ShadowCopy& copy = *owned.release();
  copy.shadow_ = &shadow;
  copy.series_ = series;
  copy.charge_.Begin(*this, objective);
  ++copy.charge_.objective().copies;
  open_.PushBack(copy);
  records_.copies_open.fetch_add(1, std::memory_order_relaxed);
  return &copy;
}

void ShadowTraffic::Free(ShadowCopy& copy) {
  --copy.charge_.objective().copies;
  copy.charge_.End();
  open_.Remove(copy);
  records_.copies_open.fetch_sub(1, std::memory_order_relaxed);
  free_.emplace_back(&copy);
}

void ShadowTraffic::Stop() {
  while (!open_.empty()) open_.first()->Finish(ShadowOutcome::kDroppedStopping, "");
  hosts_.clear();
}

// --- Bounds.

ObjectiveShadows& ShadowTraffic::Of(std::string_view objective) {
  auto found = objectives_.find(objective);
  if (found == objectives_.end()) {
    found = objectives_.emplace(std::string(objective), std::make_unique<ObjectiveShadows>()).first;
    found->second->name = objective;
  }
  return *found->second;
}

void ShadowTraffic::LetGo(ObjectiveShadows& objective) {
  if (objective.charges > 0) return;
  const std::string name = std::move(objective.name);
  objectives_.erase(name);
}

bool ShadowTraffic::Hold(ObjectiveShadows& objective, size_t bytes) {
  if (bytes_ + bytes > limits_.bytes_max || objective.bytes + bytes > limits_.objective_bytes_max) return false;
  bytes_ += bytes;
  objective.bytes += bytes;
  records_.held_bytes.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  return true;
}

void ShadowTraffic::Release(ObjectiveShadows& objective, size_t bytes) {
  bytes_ -= bytes;
  objective.bytes -= bytes;
  records_.held_bytes.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

// --- Hosts.

Host* ShadowTraffic::ChooseHost(const Routes& routes, const decide::Answer& answer) {
  const RoutePlan& plan = *routes.plan;
  const RoutePlan::ModelHosts range = plan.models[plan.model_of_answer[answer.index]];
  const auto places = std::span(plan.hosts_of_models).subspan(range.begin, range.end - range.begin);
  if (places.empty()) return nullptr;
  const size_t first = worker_.Random() % places.size();
  for (size_t passed = 0; passed < places.size(); ++passed) {
    const HostAddress& address = plan.hosts[places[(first + passed) % places.size()]];
    std::unique_ptr<Host>& host = hosts_[address.text];
    if (host == nullptr) {
      // What shadows meet there says nothing of how the live requests fare.
      host = std::make_unique<Host>(worker_, address, std::make_shared<balance::HostState>(address.text));
    }
    if (host->Available(worker_.now())) return host.get();
  }
  return nullptr;
}

void ShadowTraffic::SetAddress(const HostAddress& address) {
  const auto found = hosts_.find(address.text);
  if (found != hosts_.end()) found->second->SetAddress(address);
}

void ShadowTraffic::DropHosts(const std::function<bool(const std::string&)>& is_known) {
  absl::erase_if(hosts_, [&](const auto& entry) { return !is_known(entry.first); });
}

}  // namespace signalbox::proxy
