#include "tests/simulation/stream.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/world.h"

namespace signalbox::simulation {
namespace {

void Send(World& world, const std::shared_ptr<Stream>& stream, const std::string& from, const std::string& to,
          int64_t& last_ms, std::function<void()> arrive) {
  if (stream->broken) return;
  const std::optional<int64_t> delay = world.network.Delay(from, to);
  if (!delay) return Break(world, stream, kKeepaliveMs);
  last_ms = std::max(last_ms, world.schedule.now_ms() + *delay);
  world.schedule.At(last_ms, [stream, arrive = std::move(arrive)] {
    if (!stream->broken) arrive();
  });
}

}  // namespace

void SendDown(World& world, const std::shared_ptr<Stream>& stream, std::function<void()> arrive) {
  Send(world, stream, stream->control->name(), stream->data_plane->name(), stream->down_ms, std::move(arrive));
}

void SendUp(World& world, const std::shared_ptr<Stream>& stream, std::function<void()> arrive) {
  Send(world, stream, stream->data_plane->name(), stream->control->name(), stream->up_ms, std::move(arrive));
}

void Break(World& world, const std::shared_ptr<Stream>& stream, int64_t after_ms) {
  if (stream->broken) return;
  stream->broken = true;
  world.schedule.After(after_ms, [stream] {
    stream->data_plane->OnBroken(*stream);
    stream->control->OnBroken(*stream);
  });
}

}  // namespace signalbox::simulation
