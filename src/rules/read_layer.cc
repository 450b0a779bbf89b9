#include <utility>

#include "rules/rule_reading.h"

namespace signalbox::rules {

void ReadLayer(RuleReading& reading) {
  v1::Layer layer;
  layer.set_id(reading.ReadId("layerId", "layer"));
  if (!layer.id().empty()) reading.draft.declared_names.push_back({NameKind::kLayer, layer.id()});
  reading.reader.CheckKeys(reading.rule, {"layerId", "unit", "seed", "hashVersion"});
  const std::vector<std::string> unit = reading.ReadUnit();
  layer.mutable_unit()->Assign(unit.begin(), unit.end());
  layer.set_seed(reading.ReadSeed());
  // GrowthBook knows one way to cut a namespace, whatever hash its experiments have.
  if (const Field version = reading.Key("hashVersion"); version.IsPresent()) {
    constexpr char kExpected[] = "1, which makes the layer a GrowthBook namespace";
    layer.set_hash_version(static_cast<uint32_t>(reading.reader.Number(version, 1, 1, kExpected).value_or(0)));
  }
  reading.FillSource(*layer.mutable_source());
  reading.KeepPlain(std::move(layer), reading.draft.layers);
}

}  // namespace signalbox::rules
