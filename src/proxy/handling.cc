#include "proxy/handling.h"

#include <string_view>
#include <utility>

#include "base/string_map.h"

namespace signalbox::proxy {
namespace {

bool Hedges(const decide::Snapshot& snapshot) {
  for (const auto& published : snapshot.proto().rule_sets()) {
    for (const v1::Policy& policy : published.rule_set().policies()) {
      if (policy.has_hedging()) return true;
    }
  }
  return false;
}

// The one that `before` has under that name, or a new one; each name once.
template <typename State>
State* FindOrMake(std::string_view name, const StringMap<std::shared_ptr<State>>* before,
                  StringMap<std::shared_ptr<State>>& now) {
  std::shared_ptr<State>& state = now[std::string(name)];
  if (state != nullptr) return state.get();
  if (before != nullptr) {
    if (const auto known = before->find(name); known != before->end()) state = known->second;
  }
  if (state == nullptr) state = std::make_shared<State>();
  return state.get();
}

}  // namespace

Handling::Handling(const decide::Snapshot& snapshot, const Handling* before) {
  const bool hedges = Hedges(snapshot);
  of_answer_.resize(snapshot.answers().size());
  if (hedges) latency_of_answer_.resize(snapshot.answers().size());
  for (const decide::Answer* answer : snapshot.answers()) {
    of_answer_[answer->index] =
        FindOrMake(answer->objective, before == nullptr ? nullptr : &before->objectives_, objectives_);
    if (!hedges) continue;
    latency_of_answer_[answer->index] =
        FindOrMake(answer->model->id, before == nullptr ? nullptr : &before->latencies_, latencies_);
  }
}

}  // namespace signalbox::proxy
