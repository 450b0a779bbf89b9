// What a step costs: a large fleet with nothing to do, and with one thing to do.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

double MillisecondsOf(const std::function<void()>& what) {
  const auto begin = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

// 1,000 models of 50 namespaces, on 100 shards of 3 hosts. Limits are far above what a quiet machine takes: they are
// there to notice what grows with the square of something.
TEST(Cost, AStepWithNothingToDoTakesMilliseconds) {
  World world;
  v1::Fleet fleet;
  for (int i = 0; i < 100; ++i) {
    (*fleet.mutable_shards())[fmt::format("shard-{:03}", i)].set_memory_bytes(20);
    for (int host = 0; host < 3; ++host) {
      world.AddHost(fmt::format("host-{:03}-{}", i, host), fmt::format("shard-{:03}", i));
    }
  }
  for (int i = 0; i < 1000; ++i) (*fleet.mutable_models())[fmt::format("model-{}", i)].set_memory_bytes(1);
  world.PutFleet(fleet);
  for (int i = 0; i < 50; ++i) {
    std::vector<std::string> models;
    for (int k = 0; k < 20; ++k) models.push_back(fmt::format("model-{}@1", 20 * i + k));
    v1::RuleSet rules;
    rules.set_namespace_(fmt::format("team-{}", i));
    for (const std::string& model : models) {
      v1::Objective& objective = *rules.add_objectives();
      objective.set_name(fmt::format("Objective_{}", rules.objectives_size() + 100 * i));
      objective.mutable_default_model()->set_name(model.substr(0, model.find('@')));
      objective.mutable_default_model()->set_version("1");
    }
    world.PublishRules(rules);
  }
  const double all_ms = MillisecondsOf([&] { world.Settle(); });
  for (int i = 0; i < 50; ++i) ASSERT_EQ(world.ActiveVersion(fmt::format("team-{}", i)), 1);

  Observation observation = world.Observe();
  const double still_ms = MillisecondsOf([&] { world.Next(observation); });
  observation.hosts[7].trouble = "changed";  // which nothing follows from
  const double full_ms = MillisecondsOf([&] { world.Next(observation); });
  observation.hosts[7].trouble = "changed again";
  const double again_ms = MillisecondsOf([&] { world.Next(observation); });
  fmt::print("all: {:.0f} ms in {} steps; a step with nothing new: {:.2f} ms; with something new: {:.2f}, {:.2f} ms\n",
             all_ms, world.steps, still_ms, full_ms, again_ms);
  EXPECT_LT(still_ms, 50);
  EXPECT_LT(again_ms, 500);
}

}  // namespace
}  // namespace signalbox::rollout
