// Rule sets of any size in which every Objective has ten rules of all kinds, and requests that meet them: what a
// decision does is the same in a small one and in a large one, only the memory that it is done in differs.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "decide/request_context.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::bench {

inline constexpr int kRulesPerObjective = 10;
// One team's; each is a namespace.
inline constexpr int kObjectivesPerNamespaceMax = 100;
inline constexpr int64_t kNowUnixMs = 1'795'000'000'000;

inline std::string ManyObjectiveName(int i) { return fmt::format("ContinueWatchingRanking{}", i); }

inline void AddIn(v1::Condition& all, std::string_view field, const std::vector<std::string>& texts) {
  v1::FieldTest& test = *all.mutable_all()->add_conditions()->mutable_field();
  test.set_field(std::string(field));
  for (const std::string& text : texts) test.mutable_in()->add_texts(text);
}

inline void SetModel(v1::ModelRef& model, std::string name) { model.set_name(std::move(name)); }

// The four context rules: a model for few requests, and parameters by country, app version and a free attribute.
inline void AddContextRules(const std::string& objective, int i, v1::RuleSet& rules) {
  auto add = [&](std::string_view what) -> v1::ContextRule& {
    v1::ContextRule& rule = *rules.add_context_rules();
    rule.set_id(fmt::format("{}-{}", what, i));
    rule.add_objectives(objective);
    return rule;
  };
  v1::ContextRule& tv = add("kids-tv");
  AddIn(*tv.mutable_condition(), "country", {"CA", "US"});
  AddIn(*tv.mutable_condition(), "device", {"tv"});
  AddIn(*tv.mutable_condition(), "segments", {"kids", fmt::format("kids-{}", i / kObjectivesPerNamespaceMax)});
  SetModel(*tv.mutable_model(), fmt::format("ranker-{}-kids", i));

  // Each team has conditions of its own, and refers to them from all its rules.
  const int team = i / kObjectivesPerNamespaceMax;
  v1::ContextRule& europe = add("europe");
  AddIn(*europe.mutable_condition(), "country", {"AT", "CH", "DE", "ES", "FR", "IT", "NL", fmt::format("X{}", team)});
  (*europe.mutable_parameters())["region"] = "eu";

  v1::ContextRule& app = add("new-app");
  v1::FieldTest& version = *app.mutable_condition()->mutable_field();
  version.set_field("app_version");
  version.mutable_version()->set_min(fmt::format("4.2.0-{}", team));
  (*app.mutable_parameters())["rows"] = "40";

  v1::ContextRule& plan = add("premium");
  AddIn(*plan.mutable_condition(), "plan", {"premium", "premium-plus", fmt::format("premium-{}", team)});
  v1::FieldTest& age = *plan.mutable_condition()->mutable_all()->add_conditions()->mutable_field();
  age.set_field("account_age_days");
  age.mutable_number()->set_min(30);
  (*plan.mutable_parameters())["depth"] = "200";
}

inline void AddCells(v1::Experiment& experiment, bool with_models, int i, std::string_view parameter) {
  for (int c = 1; c <= 3; ++c) {
    v1::Cell& cell = *experiment.add_cells();
    cell.set_name(fmt::format("{}", c));
    cell.set_weight_ppm(c == 1 ? 333'334 : 333'333);
    if (with_models) SetModel(*cell.mutable_model(), fmt::format("ranker-{}-{}-{}", i, experiment.id(), c));
    if (!with_models) (*cell.mutable_parameters())[std::string(parameter)] = fmt::format("{}", c);
  }
}

// The four experiments: two that exclude each other in one layer and choose models, one in each of two further layers
// that sets a parameter. The layers are the Objective's own, because ranges of a layer exclude each other whatever
// their Objectives.
inline void AddExperiments(const std::string& objective, int i, v1::RuleSet& rules) {
  for (const char* id : {"model", "rows", "art"}) {
    v1::Layer& layer = *rules.add_layers();
    layer.set_id(fmt::format("{}-{}", id, i));
    layer.set_seed(layer.id());
  }
  for (int e = 0; e < 4; ++e) {
    v1::Experiment& experiment = *rules.add_experiments();
    experiment.set_id(fmt::format("{}", 10'000 + 4 * i + e));
    experiment.add_objectives(objective);
    experiment.set_allocation_ppm(900'000);
    const bool with_models = e < 2;
    experiment.set_layer(fmt::format("{}-{}", with_models ? "model" : (e == 2 ? "rows" : "art"), i));
    experiment.set_layer_begin_ppm(e == 1 ? 300'000 : 0);
    experiment.set_layer_end_ppm(e == 0 ? 300'000 : (e == 1 ? 500'000 : 1'000'000));
    const std::string own = fmt::format("device-{}", i / kObjectivesPerNamespaceMax);
    if (e != 3) AddIn(*experiment.mutable_condition(), "device", {own, "mobile", "tv", "web"});
    AddCells(experiment, with_models, i, e == 2 ? "candidates" : "artwork");
  }
}

inline void AddObjective(int i, v1::RuleSet& rules) {
  v1::Objective& objective = *rules.add_objectives();
  objective.set_name(ManyObjectiveName(i));
  SetModel(*objective.mutable_default_model(), fmt::format("ranker-{}", i));
  SetModel(*objective.add_fallback_models(), "popular");
  AddContextRules(objective.name(), i, rules);
  AddExperiments(objective.name(), i, rules);
  v1::TrafficShift& shift = *rules.add_traffic_shifts();
  shift.set_id(fmt::format("canary-{}", i));
  shift.set_seed(shift.id());
  shift.add_objectives(objective.name());
  SetModel(*shift.mutable_to(), fmt::format("ranker-{}-next", i));
  shift.set_share_ppm(100'000);
  v1::Shadow& shadow = *rules.add_shadows();
  shadow.set_id(fmt::format("shadow-{}", i));
  shadow.add_objectives(objective.name());
  SetModel(*shadow.mutable_model(), fmt::format("ranker-{}-shadow", i));
  shadow.set_share_ppm(10'000);
  AddIn(*shadow.mutable_condition(), "traffic_type", {"live"});
}

// As the control plane gets it: namespaces of up to kObjectivesPerNamespaceMax Objectives each.
inline v1::Snapshot ManyRules(int objectives) {
  v1::Snapshot proto;
  for (int i = 0; i < objectives; ++i) {
    if (i % kObjectivesPerNamespaceMax == 0) {
      v1::PublishedRuleSet& published = *proto.add_rule_sets();
      published.set_version(1);
      published.mutable_rule_set()->set_namespace_(fmt::format("team-{:04}", i / kObjectivesPerNamespaceMax));
    }
    AddObjective(i, *proto.mutable_rule_sets(proto.rule_sets_size() - 1)->mutable_rule_set());
  }
  return proto;
}

// A request as a server holds it: one piece of memory with the text in it, so that reading it costs the same however
// many Objectives there are.
struct ManyRequest {
  std::array<char, 40> objective_text;
  std::array<char, 16> user_text;
  size_t objective_bytes;
  std::string_view country;
  std::string_view device;
  std::string_view app_version;
  std::string_view segments;
  std::array<decide::Attribute, 2> attributes;

  std::string_view objective() const { return {objective_text.data(), objective_bytes}; }
  std::string_view user() const { return {user_text.data(), user_text.size()}; }
};

// Of `objectives` Objectives, all asked for alike, or by Zipf's law with exponent 1, as names in a system are used.
inline std::vector<int> ObjectivesAsked(int objectives, int count, bool zipf, std::mt19937_64& random) {
  std::vector<int> order(static_cast<size_t>(objectives));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);  // the frequent ones are not neighbours in memory
  std::vector<double> weights;
  for (int rank = 1; rank <= objectives; ++rank) weights.push_back(zipf ? 1.0 / rank : 1.0);
  std::discrete_distribution<size_t> draw(weights.begin(), weights.end());
  std::vector<int> asked;
  for (int i = 0; i < count; ++i) asked.push_back(order[draw(random)]);
  return asked;
}

inline std::vector<ManyRequest> ManyRequests(int objectives, int count, bool zipf, uint64_t seed) {
  constexpr std::string_view kCountries[] = {"US", "CA", "DE", "FR", "BR", "IN", "JP", "GB"};
  constexpr std::string_view kDevices[] = {"tv", "mobile", "web", "console"};
  constexpr std::string_view kVersions[] = {"4.1.9", "4.2.0", "5.0.1", "3.8"};
  constexpr std::string_view kSegments[] = {"", "kids", "premium", "kids premium"};
  constexpr std::string_view kPlans[] = {"basic", "premium", "premium-plus"};
  constexpr std::string_view kAges[] = {"3", "45", "400", "1200"};
  std::mt19937_64 random(seed);
  std::vector<ManyRequest> requests;
  for (const int asked : ObjectivesAsked(objectives, count, zipf, random)) {
    ManyRequest& request = requests.emplace_back();
    const std::string objective = ManyObjectiveName(asked);
    std::copy(objective.begin(), objective.end(), request.objective_text.begin());
    request.objective_bytes = objective.size();
    const std::string user = fmt::format("{:016x}", random());
    std::copy(user.begin(), user.end(), request.user_text.begin());
    request.country = kCountries[random() % std::size(kCountries)];
    request.device = kDevices[random() % std::size(kDevices)];
    request.app_version = kVersions[random() % std::size(kVersions)];
    request.segments = kSegments[random() % std::size(kSegments)];
    request.attributes = {
        {{"plan", kPlans[random() % std::size(kPlans)]}, {"account_age_days", kAges[random() % std::size(kAges)]}}};
  }
  return requests;
}

}  // namespace signalbox::bench
