// Asks a platform that speaks OFREP.
#pragma once

#include <memory>

#include "allocate/asker.h"
#include "allocate/http_client.h"
#include "allocate/platform_options.h"

namespace signalbox::allocate {

// `client` outlives it, but no call of its Work comes after its end.
std::unique_ptr<Asker> MakeOfrepAsker(const PlatformOptions& options, HttpClient& client);

}  // namespace signalbox::allocate
