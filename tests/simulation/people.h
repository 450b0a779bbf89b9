// Researchers who publish and go back, operators who pin, pause, cancel, promote, drain and move.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/rollout.pb.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::simulation {

class World;

class People {
 public:
  explicit People(World& world) : world_(world) {}

  // What is there before anything else: shards and models, and the first rules.
  void Begin();
  // One of them does something, and again after a while, until the bad times end.
  void GoOn();
  // Everything that holds up a rollout is taken back; new rules for some.
  void Settle();

 private:
  void DoSomething();
  void PublishRules(const std::string& name_space);
  void GoBack(const std::string& name_space);
  void ChangeRelease(const std::string& name_space);
  void Drain();
  void ChangeFleet();
  void ChangeSample();
  void PublishFleet();
  std::string RandomModel(const std::string& name_space);
  v1::ReleasePlan ReleaseOf(const std::string& name_space) const;
  void Publish(const std::string& topic, const google::protobuf::Message& content, const std::string& who);

  World& world_;
  int rules_ = 0;
  v1::Fleet fleet_;
  v1::Drains drains_;
};

extern const std::vector<std::string> kNamespaces;

}  // namespace signalbox::simulation
