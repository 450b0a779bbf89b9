// Decisions as JSON, and how to make each text once.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "decide/decide.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::cli {

// One JSON object without a newline:
//
//   {"objective":"TitleSearch","model":"ranker@2","routing_key":"rk-...","experiment":"12345","cell":"2",
//    "fallbacks":["popular"],"reason":"experiment","cells":{"12345":"2","777":"1"},"parameters":{"depth":"80"},
//    "ensemble":{"mode":"mean","members":[{"model":"a@1","weight":0.5}],"min_members":1},
//    "shadows":[{"shadow":"s1","model":"ranker@3"}],"limits":{"policy":"strict","requests_per_second":100},
//    "static_answer_bytes":120,"override_rule":"testers","notes":["missing_unit"]}
//
// with null for experiment and cell where the request takes part in no experiment. What stands behind the reason is
// left out where there is none. `decision` has an answer.
std::string DecisionJson(const decide::Decision& decision);

// What goes to the model: the answer's, with the overlays over it.
v1::ObjectiveConfig ObjectiveConfigOf(const decide::Decision& decision);

// The texts of decisions of one snapshot, each made when it is first asked for. Not thread-safe.
class DecisionTexts {
 public:
  // Experiments in several layers make many decisions that differ in their cells. Where there are more than this, all
  // are forgotten, and made again as they come.
  static constexpr size_t kTextsMax = 1U << 14;

  // DecisionJson and a newline. Good until the next call. Nothing is allocated for a text that is known.
  const std::string& TextOf(const decide::Decision& decision);

  size_t size() const { return texts_.size(); }

 private:
  // Addresses of all that the text is made from: equal keys, equal texts.
  using Key = std::vector<const void*>;
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };

  std::unordered_map<Key, std::string, KeyHash> texts_;
  Key key_;
};

}  // namespace signalbox::cli
