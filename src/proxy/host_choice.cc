#include "proxy/host_choice.h"

#include "proxy/host.h"
#include "proxy/routes.h"

namespace signalbox::proxy {

Host* ChooseHost(Routes& routes, const decide::Answer& answer, Time now) {
  Routes::Turn turn = routes.TurnOf(answer);
  for (size_t passed = 0; passed < turn.hosts.size(); ++passed) {
    Host& host = *routes.hosts[turn.hosts[turn.next++ % turn.hosts.size()]];
    if (host.Available(now)) return &host;
  }
  return nullptr;
}

}  // namespace signalbox::proxy
