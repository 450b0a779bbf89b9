#include "proxy/host_choice.h"

#include <algorithm>

#include "proxy/host.h"
#include "proxy/routes.h"

namespace signalbox::proxy {

Host* ChooseHost(Routes& routes, const decide::Answer& answer, Time now, const HostWish& wish) {
  Routes::Turn turn = routes.TurnOf(answer);
  Host* again = nullptr;
  for (size_t passed = 0; passed < turn.hosts.size(); ++passed) {
    Host& host = *routes.hosts[turn.hosts[turn.next++ % turn.hosts.size()]];
    if (!host.Available(now)) continue;
    const bool tried = std::find(wish.tried.begin(), wish.tried.end(), &host) != wish.tried.end();
    if (!tried) return &host;
    if (again == nullptr) again = &host;
  }
  return again;
}

}  // namespace signalbox::proxy
