// What goes wrong in a run, one thing after the other, and how it heals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace signalbox::simulation {

class ControlPlane;
class World;

class Faults {
 public:
  explicit Faults(World& world) : world_(world) {}

  void GoOn();
  // Everything works again, and stays so.
  void Heal();
  void OrphanDataPlanes();

 private:
  void HappenOnce();
  void OnHost();
  void OnControl();
  void LagBehind(ControlPlane& control);
  void OnDataPlane();
  void OnStore();
  void OnNetwork();
  std::vector<std::string> Parts() const;

  World& world_;
  bool over_ = false;
  bool orphaned_ = false;
};

}  // namespace signalbox::simulation
