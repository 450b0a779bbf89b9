#include "proxy/host_choice.h"

#include <algorithm>

#include "proxy/host.h"
#include "proxy/routes.h"

namespace signalbox::proxy {

Host* ChooseHost(Routes& routes, const HostQuestion& question) {
  Routes::Turn turn = routes.TurnOf(question.answer);
  Host* again = nullptr;
  for (size_t passed = 0; passed < turn.hosts.size(); ++passed) {
    Host& host = *routes.hosts[turn.hosts[turn.next++ % turn.hosts.size()]];
    if (!host.Available(question.now)) continue;
    const bool tried = std::find(question.tried.begin(), question.tried.end(), &host) != question.tried.end();
    if (!tried) return &host;
    if (again == nullptr) again = &host;
  }
  return again;
}

}  // namespace signalbox::proxy
