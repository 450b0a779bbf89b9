#include "cli/decision_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decide/test_snapshot.h"

namespace signalbox::cli {
namespace {

std::shared_ptr<const decide::Snapshot> Rules(const std::string& rules) {
  return decide::CompileOrDie(decide::ParseSnapshot("rule_sets { rule_set { namespace: 'home' " + rules + " } }"));
}

const std::string kEverything = R"pb(
  objectives {
    name: 'Ranking'
    default_model { ensemble: 'mix' }
    fallback_models { name: 'popular' }
    policy: 'strict'
    parameters { key: 'depth' value: '50' }
    static_answer { message: "12345" }
  }
  ensembles {
    name: 'mix'
    mode: MEAN
    members { model { name: 'a' } }
    members { model { name: 'b' version: '2' } }
    min_members: 1
  }
  policies {
    name: 'strict'
    limits { requests_per_second: 100 priority: HIGH }
  }
  context_rules {
    id: 'tv'
    objectives: 'Ranking'
    condition {
      field {
        field: 'device'
        in { texts: 'tv' }
      }
    }
    parameters { key: 'depth' value: '80' }
  }
  layers { id: 'l1' seed: 'l1' unit: 'user' }
  experiments {
    id: '1'
    seed: '1'
    objectives: 'Ranking'
    allocation_ppm: 1000000
    unit: 'user'
    cells {
      name: 'a'
      weight_ppm: 500000
      parameters { key: 'x' value: 'a' }
    }
    cells {
      name: 'b'
      weight_ppm: 500000
      parameters { key: 'x' value: 'b' }
    }
  }
  experiments {
    id: '2'
    seed: '2'
    objectives: 'Ranking'
    allocation_ppm: 1000000
    layer: 'l1'
    layer_end_ppm: 1000000
    unit: 'user'
    cells {
      name: 'c'
      weight_ppm: 500000
      parameters { key: 'y' value: 'c' }
    }
    cells {
      name: 'd'
      weight_ppm: 500000
      parameters { key: 'y' value: 'd' }
    }
  }
  shadows {
    id: 's1'
    objectives: 'Ranking'
    model { name: 'next' }
    share_ppm: 1000000
  }
)pb";

TEST(DecisionJson, SaysAllThatADecisionDoes) {
  const auto snapshot = Rules(kEverything);
  const auto json = nlohmann::ordered_json::parse(
      DecisionJson(decide::Decide(*snapshot, {.objective = "Ranking", .user = "u1", .device = "tv"})));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys,
            (std::vector<std::string>{"objective", "model", "routing_key", "experiment", "cell", "fallbacks", "reason",
                                      "cells", "parameters", "ensemble", "shadows", "limits", "static_answer_bytes"}));
  EXPECT_EQ(json.at("model"), "ensemble:mix");
  EXPECT_EQ(json.at("cells").size(), 2u);
  EXPECT_EQ(json.at("parameters").at("depth"), "80");
  EXPECT_EQ(json.at("parameters").at("x"), json.at("cells").at("1"));
  EXPECT_EQ(json.at("parameters").at("y"), json.at("cells").at("2"));
  EXPECT_EQ(json.at("ensemble").at("mode"), "mean");
  EXPECT_EQ(json.at("ensemble").at("members").at(1).at("model"), "b@2");
  EXPECT_EQ(json.at("shadows").at(0).at("model"), "next");
  EXPECT_EQ(json.at("limits").at("priority"), "high");
  EXPECT_EQ(json.at("static_answer_bytes"), 5);
}

TEST(DecisionJson, LeavesOutWhatThereIsNot) {
  const auto snapshot = Rules("objectives { name: 'Ranking' default_model { name: 'm' } }");
  const decide::Decision decision = decide::Decide(*snapshot, {.objective = "Ranking"});
  EXPECT_EQ(DecisionJson(decision), R"({"objective":"Ranking","model":"m","routing_key":")" +
                                        std::string(decision.answer->model->routing_key) +
                                        R"(","experiment":null,"cell":null,"fallbacks":[],"reason":"default"})");
}

TEST(DecisionTexts, EveryDecisionGetsItsOwnText) {
  const auto snapshot = Rules(kEverything);
  DecisionTexts texts;
  for (int i = 0; i < 2000; ++i) {
    const std::string user = i % 10 == 0 ? "" : "u" + std::to_string(i);
    const decide::Decision decision =
        decide::Decide(*snapshot, {.objective = "Ranking", .user = user, .device = i % 3 == 0 ? "tv" : "phone"});
    ASSERT_EQ(texts.TextOf(decision), DecisionJson(decision) + "\n") << user;
  }
  // Two cells, twice, with and without the context rule; and requests without a user.
  EXPECT_EQ(texts.size(), 10u);
}

}  // namespace
}  // namespace signalbox::cli
