#include "tests/simulation/plan.h"

#include <chrono>

namespace signalbox::simulation {

using std::chrono::milliseconds;

std::string_view Name(Profile profile) {
  switch (profile) {
    case Profile::kCalm:
      return "calm";
    case Profile::kLight:
      return "light";
    case Profile::kHeavy:
      return "heavy";
    case Profile::kIsolation:
      return "isolation";
    case Profile::kOrphaned:
      return "orphaned";
  }
  return "";
}

Plan DrawPlan(Random& random) {
  Plan plan;
  const int64_t draw = random.Between(0, 99);
  plan.profile = draw < 12   ? Profile::kCalm
                 : draw < 45 ? Profile::kLight
                 : draw < 78 ? Profile::kHeavy
                 : draw < 90 ? Profile::kIsolation
                             : Profile::kOrphaned;
  plan.controls = static_cast<int>(random.Between(1, 3));
  plan.shards = static_cast<int>(random.Between(1, 3));
  plan.hosts = plan.shards + static_cast<int>(random.Between(1, 3));
  plan.data_planes = static_cast<int>(random.Between(1, 5));
  // Minutes of a real fleet are seconds here: what matters is which is longer.
  plan.controller.retention = milliseconds(random.Between(8, 20) * 1000);
  plan.controller.rollout_timeout = milliseconds(30'000);
  plan.controller.forget_data_plane_after = milliseconds(30'000);
  plan.controller.acknowledge_timeout = milliseconds(8'000);
  plan.controller.move_hold = milliseconds(1'500);
  plan.faults_end_ms = random.Between(40, 110) * 1000;
  // A rollout that fails only by its time-out, then the retention, then the forgetting.
  plan.end_ms = plan.faults_end_ms + 100'000;
  plan.people_every_ms = random.Between(4, 15) * 1000;
  plan.moves = random.Chance(0.6);
  switch (plan.profile) {
    case Profile::kCalm:
      break;
    case Profile::kIsolation:
      // Whoever waited for a load that hangs would wait for long.
      plan.load_timeout_ms = 20'000;
      plan.moves = false;
      break;
    case Profile::kLight:
    case Profile::kOrphaned:
      plan.weather = {.delay_ms_max = 30, .loss = 0.0005, .slow = 0.005, .slow_ms_max = 800};
      plan.fault_every_ms = random.Between(8, 25) * 1000;
      break;
    case Profile::kHeavy:
      plan.weather = {.delay_ms_max = random.Between(5, 100), .loss = 0.01, .slow = 0.03, .slow_ms_max = 4000};
      plan.fault_every_ms = random.Between(2, 7) * 1000;
      plan.damaged_messages = 0.02;
      break;
  }
  return plan;
}

}  // namespace signalbox::simulation
