#include <algorithm>
#include <utility>

#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {
constexpr size_t kLayersMax = 100;
}

void ReadHoldout(RuleReading& reading) {
  v1::Holdout holdout;
  holdout.set_id(reading.ReadId("holdoutId", "holdout"));
  reading.reader.CheckKeys(reading.rule, {"holdoutId", "percentage", "unit", "seed", "layers", "when"});
  holdout.set_share_ppm(reading.ReadPercentage("percentage", 0));
  const std::vector<std::string> unit = reading.ReadUnit();
  holdout.mutable_unit()->Assign(unit.begin(), unit.end());
  holdout.set_seed(reading.ReadSeed());
  if (reading.Has("layers")) {
    std::vector<std::string> layers = reading.ReadNames(reading.Key("layers"), NameKind::kLayer, kLayersMax);
    std::sort(layers.begin(), layers.end());
    holdout.mutable_layers()->Assign(layers.begin(), layers.end());
  }
  reading.ReadCondition(holdout);
  reading.FillSource(*holdout.mutable_source());
  reading.KeepPlain(std::move(holdout), reading.draft.holdouts);
}

}  // namespace signalbox::rules
