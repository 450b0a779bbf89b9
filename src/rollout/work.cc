#include "rollout/work.h"

namespace signalbox::rollout {
namespace {

template <typename Message>
const Message& ContentOf(const Topic<Message>& topic) {
  return topic.content == nullptr ? Message::default_instance() : *topic.content;
}

}  // namespace

Work::Work(const ControllerOptions& controller_options, const Observation& observation)
    : options(controller_options),
      seen(observation),
      store(*observation.store),
      fleet(ContentOf(store.fleet)),
      drains(ContentOf(store.drains)),
      placement(ContentOf(store.placement)),
      keeper(observation.now_unix_ms, observation.node_id),
      wake(observation.steady_ms) {}

ModelIds Work::NeededIds() const {
  ModelIds ids;
  for (const auto& [model, need] : needs) ids.insert(ids.end(), model);
  return ids;
}

}  // namespace signalbox::rollout
