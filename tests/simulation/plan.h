// What kind of run a seed is: how large the world is, and what goes wrong in it.
#pragma once

#include <cstdint>
#include <string_view>

#include "rollout/controller.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace signalbox::simulation {

enum class Profile {
  kCalm,       // nothing goes wrong but what people do
  kLight,      // now and then
  kHeavy,      // all the time
  kIsolation,  // only the models of namespace `home` are bad: `risk` must not notice
  kOrphaned,   // from some moment on all control planes are gone for ever
};
std::string_view Name(Profile profile);

struct Plan {
  Profile profile = Profile::kCalm;
  rollout::ControllerOptions controller;
  NetworkWeather weather;
  double damaged_messages = 0;
  int controls = 1;
  int shards = 1;
  int hosts = 2;
  int data_planes = 1;
  // The mean time between two faults, and between two things that people do.
  int64_t fault_every_ms = 0;  // 0: never
  int64_t people_every_ms = 8000;
  int64_t load_timeout_ms = 6'000;
  bool moves = false;  // operators drain, and say where models are to be
  // Until then things go wrong; then everything heals, and until `end_ms` all must have come right.
  int64_t faults_end_ms = 0;
  int64_t end_ms = 0;
};

Plan DrawPlan(Random& random);

}  // namespace signalbox::simulation
