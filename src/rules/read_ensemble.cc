#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

constexpr size_t kMembersMin = 2;
constexpr size_t kMembersMax = 16;
constexpr double kWeightTolerance = 1e-9;

struct ModeName {
  const char* name;
  v1::Ensemble::Mode mode;
};
constexpr std::array<ModeName, 4> kModes = {{{"first", v1::Ensemble::FIRST},
                                             {"mean", v1::Ensemble::MEAN},
                                             {"weighted", v1::Ensemble::WEIGHTED},
                                             {"all", v1::Ensemble::ALL}}};

v1::Ensemble::Mode ReadMode(FieldReader& reader, const Field& field) {
  constexpr char kExpected[] = "'first', 'mean', 'weighted' or 'all'";
  const std::optional<std::string> text = reader.Text(field, kExpected);
  if (!text) return v1::Ensemble::MODE_UNSPECIFIED;
  const auto* found =
      std::find_if(kModes.begin(), kModes.end(), [&](const ModeName& mode) { return mode.name == *text; });
  if (found != kModes.end()) return found->mode;
  reader.ErrorExpected(field, kExpected);
  return v1::Ensemble::MODE_UNSPECIFIED;
}

// A member is a model that may have a weight beside its name.
void ReadMember(FieldReader& reader, const Field& field, v1::Ensemble& ensemble) {
  v1::EnsembleMember& member = *ensemble.add_members();
  if (field.AsObject() == nullptr) return reader.ErrorExpected(field, "a model: {name: '...', version: '...'}");
  RuleValue::Object without_weight = *field.AsObject();
  std::erase_if(without_weight, [](const RuleProperty& property) { return property.name == "weight"; });
  const RuleValue model{std::move(without_weight)};
  Field model_field = field;
  model_field.value = &model;
  reader.Model(model_field, *member.mutable_model());
  const Field weight = reader.Key(field, "weight");
  if (ensemble.mode() == v1::Ensemble::WEIGHTED) {
    member.set_weight(reader.Number(weight, 1e-6, 1, "a weight of more than 0, to 1").value_or(0));
  } else if (weight.IsPresent()) {
    reader.Error(weight, "only members of an ensemble of mode 'weighted' have weights; remove it");
  }
}

bool AreSame(const v1::ModelRef& a, const v1::ModelRef& b) {
  return a.name() == b.name() && a.version() == b.version();
}

void CheckMembers(FieldReader& reader, const Field& members, const v1::Ensemble& ensemble) {
  double sum = 0;
  for (int i = 0; i < ensemble.members_size(); ++i) {
    sum += ensemble.members(i).weight();
    for (int other = 0; other < i; ++other) {
      if (AreSame(ensemble.members(i).model(), ensemble.members(other).model()))
        reader.Error(reader.Item(members, static_cast<size_t>(i)), "stands in the list already");
    }
  }
  if (ensemble.mode() == v1::Ensemble::WEIGHTED && std::abs(sum - 1) > kWeightTolerance)
    reader.Error(members, fmt::format("weights add up to {:.10g}, expected 1 (tolerance 1e-9)", sum));
}

}  // namespace

void ReadEnsemble(RuleReading& reading) {
  FieldReader& reader = reading.reader;
  v1::Ensemble ensemble;
  ensemble.set_name(reading.ReadId("ensembleId", "ensemble"));
  if (!ensemble.name().empty()) reading.draft.declared_names.push_back({NameKind::kEnsemble, ensemble.name()});
  reader.CheckKeys(reading.rule, {"ensembleId", "mode", "members", "minimumMembers"});
  ensemble.set_mode(ReadMode(reader, reading.Key("mode")));
  const Field members = reading.Key("members");
  const RuleValue::Array* items = members.AsArray();
  if (items == nullptr) {
    reader.ErrorExpected(members, "an array of models: [{name: '...'}, {name: '...'}]");
  } else if (items->size() < kMembersMin || items->size() > kMembersMax) {
    reader.Error(members, fmt::format("has {} members, expected {} to {}", items->size(), kMembersMin, kMembersMax));
  } else {
    for (size_t i = 0; i < items->size(); ++i) ReadMember(reader, reader.Item(members, i), ensemble);
    if (reader.ok()) CheckMembers(reader, members, ensemble);
    if (reading.Has("minimumMembers")) {
      const auto count = static_cast<double>(items->size());
      ensemble.set_min_members(
          static_cast<uint32_t>(reader.Whole(reading.Key("minimumMembers"), 1, count).value_or(0)));
    }
  }
  // All of them is what is meant when nothing is said; with `first` one is always enough.
  if (ensemble.min_members() == static_cast<uint32_t>(ensemble.members_size()) ||
      ensemble.mode() == v1::Ensemble::FIRST)
    ensemble.set_min_members(0);
  reading.FillSource(*ensemble.mutable_source());
  reading.KeepPlain(std::move(ensemble), reading.draft.ensembles);
}

}  // namespace signalbox::rules
