// One subscription: the TCP connection between a data plane and a control plane.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace signalbox::simulation {

class World;
class ControlPlane;
class DataPlane;

// Messages keep their order. A message that is lost breaks it: both ends notice after the keepalive.
struct Stream {
  uint64_t id = 0;
  DataPlane* data_plane = nullptr;
  ControlPlane* control = nullptr;
  bool broken = false;
  int64_t down_ms = 0;  // when the last message to the data plane arrives
  int64_t up_ms = 0;
};

constexpr int64_t kKeepaliveMs = 3000;

void SendDown(World& world, const std::shared_ptr<Stream>& stream, std::function<void()> arrive);
void SendUp(World& world, const std::shared_ptr<Stream>& stream, std::function<void()> arrive);
// Nothing more arrives; both ends are told `after_ms` later.
void Break(World& world, const std::shared_ptr<Stream>& stream, int64_t after_ms);

}  // namespace signalbox::simulation
