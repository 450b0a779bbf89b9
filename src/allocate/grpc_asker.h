// Asks a platform that speaks signalbox.v1.Allocator (api/signalbox/v1/allocator.proto).
#pragma once

#include <functional>
#include <memory>

#include "allocate/asker.h"
#include "allocate/platform_options.h"

namespace signalbox::allocate {

// gRPC answers on threads of its own: `post`, which is called from any of them, must run what it is given on the thread
// that asks, or not at all after the asker's end.
using Post = std::function<void(std::function<void()>)>;
std::unique_ptr<Asker> MakeGrpcAsker(const PlatformOptions& options, Post post);

}  // namespace signalbox::allocate
