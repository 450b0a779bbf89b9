#include "tests/simulation/faults.h"

#include "tests/simulation/world.h"

namespace signalbox::simulation {

void Faults::GoOn() {
  if (world_.plan.fault_every_ms == 0) return;
  world_.schedule.After(world_.random.Between(1, 2 * world_.plan.fault_every_ms), [this] {
    if (over_) return;
    HappenOnce();
    GoOn();
  });
}

void Faults::HappenOnce() {
  world_.truth.OnTrouble();
  const int64_t what = world_.random.Between(0, 99);
  if (what < 28) return OnHost();
  if (what < 52) return OnControl();
  if (what < 72) return OnDataPlane();
  if (what < 80) return OnStore();
  OnNetwork();
}

void Faults::OnHost() {
  SimulatedHost& host = *world_.random.Pick(world_.hosts);
  const int64_t lasts_ms = world_.random.Between(300, 20'000);
  switch (world_.random.Between(0, 5)) {
    case 0:
    case 1:
      host.Crash();
      world_.schedule.After(lasts_ms, [&host] { host.Start(); });
      return;
    case 2: {
      const std::vector<std::string> loaded = host.LoadedModels();
      if (!loaded.empty()) host.LoseModel(world_.random.Pick(loaded), world_.random.Chance(0.3));
      return;
    }
    case 3:
      world_.trace.Say(host.address(), "begins to lie");
      host.set_lying(true);
      world_.schedule.After(lasts_ms, [&host] { host.Heal(); });
      return;
    case 4:
      world_.trace.Say(host.address(), "becomes slow");
      host.set_slowness(world_.random.Between(5, 50));
      world_.schedule.After(lasts_ms, [&host] { host.Heal(); });
      return;
    default: {
      // Another process takes its id.
      SimulatedHost*& registered = world_.directory[host.id()];
      if (registered == &host) return;
      world_.trace.Say(host.address(), "takes over the id {} from {}", host.id(), registered->address());
      registered = &host;
      world_.host_troubles = {"host id " + host.id() + " is claimed by two processes"};
    }
  }
}

void Faults::OnControl() {
  if (orphaned_) return;
  ControlPlane* control = world_.random.Pick(world_.controls).get();
  // Who leads is the most interesting.
  for (const auto& other : world_.controls) {
    if (other->leads() && world_.random.Chance(0.5)) control = other.get();
  }
  switch (world_.random.Between(0, 4)) {
    case 0:
      LagBehind(*control);
      return;
    case 1:
    case 2:
      control->Crash();
      world_.schedule.After(world_.random.Between(100, 15'000), [this, control] {
        if (!orphaned_) control->Start();
      });
      return;
    case 3:
      return control->Pause(world_.random.Between(100, 12'000));
    default: {
      const int64_t jump_ms = world_.random.Between(-120'000, 120'000) * world_.random.Between(1, 30);
      world_.trace.Say(control->name(), "its clock jumps by {} ms", jump_ms);
      control->JumpClock(jump_ms);
      world_.truth.OnClockJump();
    }
  }
}

// It does not hear of the newest, and data planes come to it from others.
void Faults::LagBehind(ControlPlane& control) {
  world_.trace.Say(control.name(), "hears nothing from the store, and the streams to all others break");
  world_.network.Cut(kStoreName, control.name());
  world_.schedule.After(world_.random.Between(500, 3500), [this, &control] {
    for (const auto& data_plane : world_.data_planes) {
      if (data_plane->stream() != nullptr && data_plane->stream()->control != &control) {
        Break(world_, data_plane->stream(), 10);
      }
    }
  });
  world_.schedule.After(5000, [this, &control] { world_.network.Mend(kStoreName, control.name()); });
}

void Faults::OnDataPlane() {
  DataPlane& data_plane = *world_.random.Pick(world_.data_planes);
  const int64_t lasts_ms = world_.random.Between(100, 15'000);
  switch (world_.random.Between(0, 5)) {
    case 0:
    case 1:
    case 2:
      data_plane.Crash();
      if (world_.random.Chance(0.1)) data_plane.DamageDisk();
      world_.schedule.After(world_.random.Chance(0.1) ? 60'000 : lasts_ms, [&data_plane] { data_plane.Start(); });
      return;
    case 3:
      world_.trace.Say(data_plane.name(), "takes nothing for {} ms", lasts_ms);
      data_plane.set_stuck(true);
      world_.schedule.After(lasts_ms, [&data_plane] { data_plane.set_stuck(false); });
      return;
    default:
      world_.trace.Say(data_plane.name(), "its disk is full for {} ms", 2 * lasts_ms);
      data_plane.set_disk_full(true);
      world_.schedule.After(2 * lasts_ms, [&data_plane] { data_plane.set_disk_full(false); });
  }
}

void Faults::OnStore() {
  if (world_.random.Chance(0.5)) {
    world_.trace.Say("store", "is full");
    world_.store.set_full(true);
    world_.schedule.After(world_.random.Between(300, 12'000), [this] { world_.store.set_full(false); });
  } else {
    world_.trace.Say("store", "is away");
    world_.store_down = true;
    world_.schedule.After(world_.random.Between(300, 12'000), [this] { world_.store_down = false; });
  }
}

std::vector<std::string> Faults::Parts() const {
  std::vector<std::string> parts = {kStoreName};
  for (const auto& host : world_.hosts) parts.push_back(host->address());
  for (const auto& control : world_.controls) parts.push_back(control->name());
  for (const auto& data_plane : world_.data_planes) parts.push_back(data_plane->name());
  return parts;
}

// Between two parts, or around one; in both directions or in one.
void Faults::OnNetwork() {
  const std::vector<std::string> parts = Parts();
  const std::string a = world_.random.Pick(parts);
  const bool around = world_.random.Chance(0.4);
  const bool both = world_.random.Chance(0.7);
  const std::string other = world_.random.Pick(parts);
  const int64_t lasts_ms = world_.random.Between(300, 15'000);
  world_.trace.Say(a, "is cut off from {}{} for {} ms", around ? "all" : other, both ? "" : ", one way", lasts_ms);
  for (const std::string& b : parts) {
    if (b == a || (!around && b != other)) continue;
    world_.network.Cut(a, b);
    if (both) world_.network.Cut(b, a);
    world_.schedule.After(lasts_ms, [this, a, b] {
      world_.network.Mend(a, b);
      world_.network.Mend(b, a);
    });
  }
  // The streams that the cut goes through notice when their keepalive is not answered.
  world_.schedule.After(kKeepaliveMs, [this] { world_.BreakCutStreams(); });
}

void Faults::OrphanDataPlanes() {
  orphaned_ = true;
  for (const auto& control : world_.controls) control->Crash();
  world_.truth.OnOrphaned();
}

void Faults::Heal() {
  over_ = true;
  world_.trace.Say("world", "heals");
  world_.network.MendAll();
  world_.network.set_weather({});
  world_.plan.damaged_messages = 0;
  world_.store.set_full(false);
  world_.store_down = false;
  for (const auto& host : world_.hosts) {
    host->Heal();
    host->Start();
  }
  world_.host_troubles.clear();
  for (const auto& data_plane : world_.data_planes) {
    data_plane->set_stuck(false);
    data_plane->set_disk_full(false);
    data_plane->Start();
  }
  if (orphaned_) return;
  for (const auto& control : world_.controls) control->Start();
}

}  // namespace signalbox::simulation
