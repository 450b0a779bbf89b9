// Snapshots for tests, written as protobuf text.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/status.h"
#include "decide/decide.h"
#include "decide/snapshot.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {

inline v1::Snapshot ParseSnapshot(const std::string& text) {
  v1::Snapshot proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

inline std::shared_ptr<const Snapshot> CompileOrDie(v1::Snapshot proto) {
  auto snapshot = Snapshot::Compile(std::move(proto));
  if (!snapshot.ok()) {
    ADD_FAILURE() << Message(snapshot.status());
    abort();
  }
  return *std::move(snapshot);
}

// What goes with the request to the decision's answer.
inline v1::ObjectiveConfig ConfigOf(const Decision& decision) {
  std::string bytes(decision.answer->objective_config);
  for (const Overlay* overlay : decision.overlays) bytes += overlay->objective_config;
  v1::ObjectiveConfig config;
  EXPECT_TRUE(config.ParseFromString(bytes));
  return config;
}

// Two namespaces: `home` with an experiment before a canary and a fallback, `risk` with a default model alone.
inline v1::Snapshot ExampleSnapshot() {
  return ParseSnapshot(R"pb(
    rule_sets {
      rule_set {
        namespace: "home"
        objectives {
          name: "ContinueWatchingRanking"
          default_model { name: "ranker" version: "1" }
          fallback_models { name: "popular" }
          fallback_models { name: "ranker" version: "1" }
          model_input_type: "TITLE_INPUT_TYPE"
          model_type: "SCORER"
          parameters { key: "depth" value: "50" }
          parameters { key: "alpha" value: "1" }
          source { file: "rules/home.js" line: 3 column: 1 }
        }
        objectives {
          name: "TitleSearch"
          default_model { name: "ranker" version: "1" }
        }
        experiments {
          id: "12345"
          objectives: "ContinueWatchingRanking"
          cells {
            name: "1"
            model { name: "ranker" version: "1" }
            weight_ppm: 200000
          }
          cells {
            name: "2"
            model { name: "ranker" version: "2" }
            weight_ppm: 300000
            parameters { key: "depth" value: "80" }
          }
          cells { name: "3" weight_ppm: 500000 }
          allocation_ppm: 400000
          model_input_type: "WIDE_INPUT_TYPE"
          source { file: "rules/home.js" line: 14 column: 9 }
        }
        traffic_shifts {
          id: "ranker-canary"
          objectives: "ContinueWatchingRanking"
          objectives: "TitleSearch"
          from { name: "ranker" version: "1" }
          to { name: "ranker" version: "3" }
          share_ppm: 100000
          source { file: "rules/home.js" line: 30 column: 1 }
        }
      }
      version: 7
    }
    rule_sets {
      rule_set {
        namespace: "risk"
        objectives {
          name: "FraudScoring"
          default_model { name: "fraud" }
        }
      }
    }
    placement {
      shards {
        key: "s1"
        value { hosts: "127.0.0.1:9000" hosts: "127.0.0.1:9001" }
      }
      shards {
        key: "s2"
        value { hosts: "127.0.0.1:9100" }
      }
      models {
        key: "ranker"
        value { shards: "s1" shards: "s2" }
      }
      models {
        key: "ranker@3"
        value { shards: "s2" }
      }
      models {
        key: "fraud"
        value { shards: "s1" }
      }
    }
    version: 42
  )pb");
}

}  // namespace signalbox::decide
