// What an analyst relies on, over many users: layers are independent, a holdout is left alone, a ramp loses nobody.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "decide/bucket.h"
#include "decide/decide.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

constexpr int kUsers = 100'000;

std::string User(int i) { return "member-" + std::to_string(i * 7919); }

// Two layers with two experiments each, of a cell for each half; and a holdout of 5 %.
v1::Snapshot TwoLayers() {
  v1::Snapshot proto = ParseSnapshot(R"pb(
    rule_sets {
      rule_set {
        namespace: "home"
        objectives {
          name: "X"
          default_model { name: "m" }
        }
        holdouts { id: "quiet" share_ppm: 50000 }
      }
    })pb");
  v1::RuleSet& rules = *proto.mutable_rule_sets(0)->mutable_rule_set();
  for (const char* id : {"ranking", "artwork"}) {
    rules.add_layers()->set_id(id);
    for (uint32_t half = 0; half < 2; ++half) {
      v1::Experiment& experiment = *rules.add_experiments();
      experiment.set_id(id + std::to_string(half));
      experiment.add_objectives("X");
      experiment.set_allocation_ppm(1'000'000);
      experiment.set_layer(id);
      experiment.set_layer_begin_ppm(half * 400'000);
      experiment.set_layer_end_ppm(half * 400'000 + 400'000);
      for (const char* cell : {"1", "2"}) {
        experiment.add_cells()->set_name(cell);
        experiment.mutable_cells()->rbegin()->set_weight_ppm(500'000);
      }
    }
  }
  return proto;
}

// Of each layer, where the user is: "ranking0/1", or "" for nowhere.
std::map<std::string, std::string> PlacesOf(const Snapshot& snapshot, const std::string& user) {
  std::map<std::string, std::string> places;
  for (const Enrolment& each : Decide(snapshot, {.objective = "X", .user = user}).enrolments) {
    const std::string experiment(each.experiment);
    const std::string layer = experiment.substr(0, experiment.size() - 1);
    EXPECT_TRUE(places.emplace(layer, experiment + "/" + std::string(each.cell)).second)
        << "two of one layer: " << user;
  }
  return places;
}

TEST(Layers, AreIndependentOfOneAnotherAndCutAsDeclared) {
  v1::Snapshot proto = TwoLayers();
  proto.mutable_rule_sets(0)->mutable_rule_set()->clear_holdouts();
  const auto snapshot = CompileOrDie(proto);
  std::map<std::string, std::map<std::string, double>> counts;
  for (int i = 0; i < kUsers; ++i) {
    std::map<std::string, std::string> places = PlacesOf(*snapshot, User(i));
    ++counts[places["ranking"]][places["artwork"]];
  }
  ASSERT_EQ(counts.size(), 5u);
  double statistic = 0;
  for (const auto& [ranking, row] : counts) {
    for (const auto& [artwork, count] : row) {
      const double expected = kUsers * 0.2 * 0.2;
      statistic += (count - expected) * (count - expected) / expected;
    }
  }
  EXPECT_LT(statistic, 75.8) << "24 degrees of freedom: exceeded once in four million by chance";
}

TEST(Holdout, IsInNoExperimentAndDividesNobodyElseAnew) {
  v1::Snapshot proto = TwoLayers();
  const auto with = CompileOrDie(proto);
  proto.mutable_rule_sets(0)->mutable_rule_set()->clear_holdouts();
  const auto without = CompileOrDie(proto);
  int held_out = 0;
  for (int i = 0; i < kUsers; ++i) {
    const std::string user = User(i);
    const bool is_held_out = Bucket(BucketSeed(Purpose::kHoldout, "quiet"), user) < 50'000;
    held_out += is_held_out;
    if (is_held_out) {
      ASSERT_TRUE(PlacesOf(*with, user).empty()) << user;
    } else {
      ASSERT_EQ(PlacesOf(*with, user), PlacesOf(*without, user)) << user;
    }
  }
  EXPECT_NEAR(held_out, kUsers * 0.05, 350);
}

TEST(Ramp, LosesNobodyAndMovesNobodyBackWhileItRises) {
  v1::Snapshot proto = TwoLayers();
  v1::TrafficShift& shift = *proto.mutable_rule_sets(0)->mutable_rule_set()->add_traffic_shifts();
  shift.set_id("ramp");
  shift.add_objectives("X");
  shift.mutable_to()->set_name("next");
  shift.mutable_schedule()->set_start_unix_ms(1000);
  for (const uint32_t share_ppm : {100u, 10'000u, 10'000u, 250'000u, 1'000'000u}) {
    v1::RampStep& step = *shift.mutable_schedule()->add_steps();
    step.set_share_ppm(share_ppm);
    step.set_hold_ms(1000);
  }
  const auto snapshot = CompileOrDie(proto);
  std::vector<bool> was_moved(20'000, false);
  for (int64_t now = 500; now <= 6500; now += 500) {
    size_t moved = 0;
    for (size_t i = 0; i < was_moved.size(); ++i) {
      const std::string user = User(static_cast<int>(i));
      const Decision decision = Decide(*snapshot, {.objective = "X", .user = user, .now_unix_ms = now});
      const bool is_moved = decision.answer->model->id == "next";
      ASSERT_TRUE(is_moved || !was_moved[i]) << user << " at " << now;
      was_moved[i] = is_moved;
      moved += is_moved;
    }
    ASSERT_EQ(moved == 0, now < 1000) << now;
    ASSERT_EQ(moved == was_moved.size(), now >= 5000) << now;
  }
}

}  // namespace
}  // namespace signalbox::decide
