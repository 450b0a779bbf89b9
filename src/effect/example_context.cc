#include "effect/example_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "effect/field_test.h"

namespace signalbox::effect {
namespace {

std::vector<bool> SignatureOf(const FieldTests& tests, std::string_view field, std::string_view value) {
  if (field != "segments") return tests.AllOf(value);
  std::vector<bool> holds = tests.AllOf("");
  for (std::string_view rest = value; !rest.empty();) {
    const size_t space = std::min(rest.find(' '), rest.size());
    const std::vector<bool> of_item = tests.AllOf(rest.substr(0, space));
    for (size_t test = 0; test < holds.size(); ++test) holds[test] = holds[test] || of_item[test];
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  return holds;
}

// A value of the kind; where it stands for all units that no rule names, `unit`, or one that ends with it.
std::string ValueFor(const SpaceField& field, const ValueKind& kind, std::string_view unit) {
  if (!field.is_unit || !kind.is_open || kind.is_absent) return kind.example;
  const FieldTests tests(field.tests);
  for (const std::string& value : {std::string(unit), kind.example + std::string(unit)}) {
    if (SignatureOf(tests, field.name, value) == kind.holds) return value;
  }
  return kind.example;
}

KindSet KindOf(const SpaceField& field, std::string_view value) {
  const std::vector<ValueKind>& kinds = field.values.kinds;
  KindSet set(kinds.size());
  const std::vector<bool> holds =
      field.is_remote ? std::vector<bool>() : SignatureOf(FieldTests(field.tests), field.name, value);
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    const std::vector<std::string>& named = kinds[kind].named;
    if (std::find(named.begin(), named.end(), value) == named.end()) continue;
    set[kind] = true;
    return set;
  }
  // One that no rule names.
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    const bool can_be = value.empty() ? kinds[kind].is_absent : kinds[kind].is_open;
    if (!field.is_remote && (!can_be || kinds[kind].holds != holds)) continue;
    if (field.is_remote && !kinds[kind].is_absent) continue;
    set[kind] = true;
    return set;
  }
  // A list without items, where that is told from no others.
  for (size_t kind = 0; kind < kinds.size(); ++kind) set[kind] = kinds[kind].holds == holds;
  return set;
}

void SetKind(const SpaceField& field, const ValueKind& kind, std::string_view unit, ExampleContext& example) {
  if (field.is_remote)
    example.SetRemoteCell(field.name, kind.example);
  else
    example.Set(field.name, ValueFor(field, kind, unit));
}

}  // namespace

void ExampleContext::Set(std::string_view field, std::string_view value) {
  if (value.empty())
    values_.erase(std::string(field));
  else
    values_[std::string(field)] = std::string(value);
}

void ExampleContext::SetRemoteCell(std::string_view experiment, std::string_view cell) {
  if (!cell.empty()) remote_cells_[std::string(experiment)] = std::string(cell);
}

decide::RequestContext ExampleContext::Context(std::string_view objective, int64_t now_unix_ms) {
  decide::RequestContext context;
  context.objective = objective;
  context.now_unix_ms = now_unix_ms;
  attributes_.clear();
  const std::map<std::string_view, std::string_view decide::RequestContext::*> texts = {
      {"user", &decide::RequestContext::user},
      {"country", &decide::RequestContext::country},
      {"locale", &decide::RequestContext::locale},
      {"device", &decide::RequestContext::device},
      {"surface", &decide::RequestContext::surface},
      {"tenant", &decide::RequestContext::tenant},
      {"app_version", &decide::RequestContext::app_version},
      {"segments", &decide::RequestContext::segments}};
  for (const auto& [field, value] : values_) {
    if (const auto text = texts.find(field); text != texts.end())
      context.*(text->second) = value;
    else if (field == "traffic_type")
      context.traffic_type = decide::ParseTrafficType(value).value_or(context.traffic_type);
    else
      attributes_.push_back({field, value});
  }
  cells_.clear();
  for (const auto& [experiment, cell] : remote_cells_) cells_.push_back({experiment, cell});
  context.attributes = attributes_;
  context.remote_cells = cells_;
  return context;
}

ExampleContext ExampleOf(const ContextSpace& space, const ContextClass& contexts, std::string_view unit) {
  ExampleContext example;
  for (size_t field = 0; field < space.fields().size(); ++field) {
    const std::vector<ValueKind>& kinds = space.fields()[field].values.kinds;
    const ValueKind* best = nullptr;
    for (size_t kind = 0; kind < kinds.size(); ++kind) {
      if (!contexts.fields[field][kind]) continue;
      // What need not be there is left out, but for units.
      const bool is_unit = space.fields()[field].is_unit;
      const bool is_better = best == nullptr || (kinds[kind].has_example && !best->has_example) ||
                             (is_unit && best->is_absent) || (!is_unit && kinds[kind].is_absent);
      if (is_better) best = &kinds[kind];
    }
    SetKind(space.fields()[field], *best, unit, example);
  }
  return example;
}

ExampleContext RandomExample(const ContextSpace& space, std::mt19937_64& random) {
  ExampleContext example;
  for (const SpaceField& field : space.fields()) {
    std::vector<const ValueKind*> kinds;
    for (const ValueKind& kind : field.values.kinds) {
      if (kind.has_example) kinds.push_back(&kind);
    }
    SetKind(field, *kinds[random() % kinds.size()], fmt::format("unit-{:016x}", random()), example);
  }
  return example;
}

ContextClass ClassOf(const ContextSpace& space, const ExampleContext& example) {
  ContextClass contexts;
  for (const SpaceField& field : space.fields()) {
    const auto& values = field.is_remote ? example.remote_cells() : example.values();
    const auto found = values.find(field.name);
    contexts.fields.push_back(KindOf(field, found == values.end() ? "" : found->second));
  }
  return contexts;
}

}  // namespace signalbox::effect
