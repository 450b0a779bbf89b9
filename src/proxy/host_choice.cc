#include "proxy/host_choice.h"

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "decide/context_field.h"
#include "proxy/host.h"
#include "proxy/routes.h"

namespace signalbox::proxy {

uint64_t AffinityKey(const decide::Policy* policy, const decide::RequestContext& context) {
  if (policy == nullptr) return 0;
  for (const decide::Field& field : policy->affinity_unit) {
    const std::string_view unit = decide::ValueOf(context, field);
    // 0 stands for none.
    if (!unit.empty()) return StableHash64(unit) | 1;
  }
  return 0;
}

Host* ChooseHost(Routes& routes, const decide::Answer& answer, Time now, const HostWish& wish) {
  const Routes::Turn turn = routes.TurnOf(answer);
  const auto choose = [&](const auto& usable) -> std::optional<uint32_t> {
    if (wish.affinity_key == 0) return turn.split.Choose(turn.next, routes.random, now, usable);
    return turn.split.ChooseByKey(wish.affinity_key, wish.load_bound_percent, usable);
  };
  const auto reachable = [&](uint32_t place) { return routes.hosts[place]->Available(now); };
  std::optional<uint32_t> place;
  if (wish.tried.empty()) {
    place = choose(reachable);
  } else {
    place = choose([&](uint32_t one) {
      return reachable(one) && std::find(wish.tried.begin(), wish.tried.end(), routes.hosts[one]) == wish.tried.end();
    });
    if (!place) place = choose(reachable);
  }
  return place ? routes.hosts[*place] : nullptr;
}

}  // namespace signalbox::proxy
