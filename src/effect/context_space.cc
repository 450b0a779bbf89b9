#include "effect/context_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace signalbox::effect {
namespace {

// Present in every space that asks whether a field is there.
v1::FieldTest PresenceOf(std::string_view field) {
  v1::FieldTest test;
  test.set_field(std::string(field));
  test.mutable_present();
  return test;
}

std::string KeyOf(const v1::FieldTest& test) { return test.SerializeAsString(); }

FieldValues CellsOf(const v1::Experiment& experiment) {
  FieldValues values;
  ValueKind none;
  none.is_absent = true;
  values.kinds.push_back(none);
  for (const v1::Cell& cell : experiment.cells()) {
    ValueKind kind;
    kind.named = {cell.name()};
    kind.example = cell.name();
    values.kinds.push_back(kind);
  }
  return values;
}

// Of the kinds in `set`: whether all, none or some of them say yes.
std::optional<bool> AnswerOf(const KindSet& set, const KindSet& yes) {
  bool has_yes = false;
  bool has_no = false;
  for (size_t kind = 0; kind < set.size(); ++kind) {
    if (!set[kind]) continue;
    (yes[kind] ? has_yes : has_no) = true;
  }
  if (has_yes && has_no) return std::nullopt;
  return has_yes;
}

}  // namespace

SpaceField& ContextSpace::FieldOf(std::string_view name, bool is_remote) {
  const auto [entry, is_new] = field_index_.try_emplace({std::string(name), is_remote}, fields_.size());
  if (is_new) {
    fields_.emplace_back();
    fields_.back().name = std::string(name);
    fields_.back().is_remote = is_remote;
  }
  return fields_[entry->second];
}

void ContextSpace::AddTest(const v1::FieldTest& test) {
  SpaceField& field = FieldOf(test.field(), /*is_remote=*/false);
  if (test_index_.try_emplace(KeyOf(test), field.tests.size()).second) field.tests.push_back(test);
}

void ContextSpace::AddCondition(const v1::Condition& condition) {
  switch (condition.test_case()) {
    case v1::Condition::kAll:
      for (const v1::Condition& each : condition.all().conditions()) AddCondition(each);
      return;
    case v1::Condition::kAny:
      for (const v1::Condition& each : condition.any().conditions()) AddCondition(each);
      return;
    case v1::Condition::kNot:
      AddCondition(condition.not_());
      return;
    case v1::Condition::kField:
      AddTest(condition.field());
      return;
    case v1::Condition::kTime:
    case v1::Condition::kWeekly:
    case v1::Condition::TEST_NOT_SET:
      return;
  }
}

void ContextSpace::AddUnit(std::span<const std::string> fields) {
  for (const std::string& field : fields) {
    FieldOf(field, /*is_remote=*/false).is_unit = true;
    AddTest(PresenceOf(field));
  }
}

void ContextSpace::AddRemote(const v1::Experiment& experiment) {
  SpaceField& field = FieldOf(experiment.id(), /*is_remote=*/true);
  FieldValues cells = CellsOf(experiment);
  // Both sides of a comparison may have cells of their own.
  for (ValueKind& kind : cells.kinds) {
    const bool is_there = std::any_of(field.values.kinds.begin(), field.values.kinds.end(),
                                      [&](const ValueKind& each) { return each.example == kind.example; });
    if (!is_there) field.values.kinds.push_back(std::move(kind));
  }
}

void ContextSpace::Finish(size_t named_units_max) {
  for (SpaceField& field : fields_) {
    if (!field.is_remote) field.values = WorkOutKinds(field.name, field.tests, field.is_unit, named_units_max);
  }
}

std::string ContextSpace::WhyTooLarge() const {
  for (const SpaceField& field : fields_) {
    if (field.values.is_too_many)
      return fmt::format("the rules can tell more than {} kinds of {} apart", kKindsMax, field.name);
  }
  return "";
}

std::string ContextSpace::WhyApproximate() const {
  for (const SpaceField& field : fields_) {
    if (field.values.is_approximate)
      return fmt::format("{} is tested as text and as a number or version: some values may be left out", field.name);
  }
  return "";
}

bool ContextSpace::HasExample(const ContextClass& contexts) const {
  for (size_t field = 0; field < fields_.size(); ++field) {
    bool has_example = false;
    for (size_t kind = 0; kind < contexts.fields[field].size(); ++kind)
      has_example = has_example || (contexts.fields[field][kind] && fields_[field].values.kinds[kind].has_example);
    if (!has_example) return false;
  }
  return true;
}

ContextClass ContextSpace::Everything() const {
  ContextClass everything;
  for (const SpaceField& field : fields_) everything.fields.emplace_back(field.values.kinds.size(), true);
  return everything;
}

std::optional<size_t> ContextSpace::FindField(std::string_view name) const {
  const auto found = field_index_.find({std::string(name), false});
  return found == field_index_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<size_t> ContextSpace::FindRemote(std::string_view experiment) const {
  const auto found = field_index_.find({std::string(experiment), true});
  return found == field_index_.end() ? std::nullopt : std::optional(found->second);
}

ContextSpace::TestPlace ContextSpace::PlaceOf(const v1::FieldTest& test) const {
  return {field_index_.at({test.field(), false}), test_index_.at(KeyOf(test))};
}

std::optional<bool> ContextSpace::Ask(const ContextClass& contexts, TestPlace place, Split& split) const {
  split.field = place.field;
  const SpaceField& field = fields_[split.field];
  split.yes.assign(field.values.kinds.size(), false);
  for (size_t kind = 0; kind < split.yes.size(); ++kind) split.yes[kind] = field.values.kinds[kind].holds[place.test];
  return AnswerOf(contexts.fields[split.field], split.yes);
}

std::optional<bool> ContextSpace::AskPresent(const ContextClass& contexts, std::string_view field, Split& split) const {
  return Ask(contexts, PresenceOf(field), split);
}

const ValueKind* ContextSpace::AskKind(const ContextClass& contexts, size_t field, Split& split) const {
  const KindSet& set = contexts.fields[field];
  split.field = field;
  split.yes.assign(set.size(), false);
  const auto first = static_cast<size_t>(std::find(set.begin(), set.end(), true) - set.begin());
  split.yes[first] = true;
  return AnswerOf(set, split.yes).has_value() ? &fields_[field].values.kinds[first] : nullptr;
}

ContextClass PartOf(const ContextClass& contexts, const Split& split, bool yes) {
  ContextClass part = contexts;
  KindSet& set = part.fields[split.field];
  for (size_t kind = 0; kind < set.size(); ++kind) set[kind] = set[kind] && split.yes[kind] == yes;
  return part;
}

std::vector<size_t> Unite(std::vector<ContextClass>& classes, const std::vector<size_t>& groups) {
  std::vector<size_t> group = groups;
  const size_t field_count = classes.empty() ? 0 : classes[0].fields.size();
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t field = 0; field < field_count; ++field) {
      // Those that are equal but for `field` come together here.
      std::map<std::pair<size_t, std::vector<KindSet>>, size_t> first_of;
      std::vector<ContextClass> united;
      std::vector<size_t> united_group;
      for (size_t i = 0; i < classes.size(); ++i) {
        std::vector<KindSet> others = classes[i].fields;
        others[field].clear();
        const auto [entry, is_new] = first_of.try_emplace({group[i], std::move(others)}, united.size());
        if (is_new) {
          united.push_back(std::move(classes[i]));
          united_group.push_back(group[i]);
          continue;
        }
        KindSet& set = united[entry->second].fields[field];
        for (size_t kind = 0; kind < set.size(); ++kind) set[kind] = set[kind] || classes[i].fields[field][kind];
        changed = true;
      }
      classes = std::move(united);
      group = std::move(united_group);
    }
  }
  return group;
}

}  // namespace signalbox::effect
