#include "rollout/named_models.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <utility>
#include <vector>

namespace signalbox::rollout {
namespace {

// By reflection: a kind of rule that is added later is not forgotten here.
void Collect(const google::protobuf::Message& message, ModelIds& models) {
  if (message.GetDescriptor() == v1::ModelRef::descriptor()) {
    const auto& ref = static_cast<const v1::ModelRef&>(message);
    if (ref.name().empty()) return;  // an ensemble: its members are named where it is declared
    models.insert(ref.version().empty() ? ref.name() : ref.name() + "@" + ref.version());
    return;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      Collect(reflection.GetMessage(message, field), models);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      Collect(reflection.GetRepeatedMessage(message, field, i), models);
    }
  }
}

// Depth first; `path` is the way to `id`.
bool FindCircle(const v1::Fleet& fleet, const std::string& id, std::vector<std::string>& path, ModelIds& done) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != id) continue;
    path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  if (!done.insert(id).second) return false;
  path.push_back(id);
  for (const std::string& next : DeclaredModel(fleet, id).depends_on()) {
    if (FindCircle(fleet, next, path, done)) return true;
  }
  path.pop_back();
  return false;
}

}  // namespace

std::string_view NameOfModel(std::string_view id) { return id.substr(0, id.find('@')); }

ModelIds NamedModels(const v1::RuleSet& rules) {
  ModelIds models;
  Collect(rules, models);
  return models;
}

const v1::FleetModel& DeclaredModel(const v1::Fleet& fleet, const std::string& id) {
  auto found = fleet.models().find(id);
  if (found == fleet.models().end()) found = fleet.models().find(std::string(NameOfModel(id)));
  return found == fleet.models().end() ? v1::FleetModel::default_instance() : found->second;
}

ModelIds WithDependencies(const v1::Fleet& fleet, const ModelIds& models) {
  ModelIds all = models;
  std::vector<std::string> open(models.begin(), models.end());
  while (!open.empty()) {
    const std::string id = std::move(open.back());
    open.pop_back();
    for (const std::string& next : DeclaredModel(fleet, id).depends_on()) {
      if (all.insert(next).second) open.push_back(next);
    }
  }
  return all;
}

std::string DependencyCircle(const v1::Fleet& fleet, const ModelIds& models) {
  ModelIds done;
  for (const std::string& id : models) {
    std::vector<std::string> path;
    if (!FindCircle(fleet, id, path, done)) continue;
    std::string text;
    for (size_t i = 0; i < path.size(); ++i) {
      text += fmt::format("{}{} depends on {}", i == 0 ? "" : ", ", path[i], path[(i + 1) % path.size()]);
    }
    return text;
  }
  return "";
}

const ModelIds& NamedModelsCache::Of(const std::shared_ptr<const v1::Fleet>& fleet,
                                     const std::shared_ptr<const v1::RuleSet>& rules) {
  return Of(fleet, rules, *rules);
}

const ModelIds& NamedModelsCache::Of(const std::shared_ptr<const v1::Fleet>& fleet, std::shared_ptr<const void> owner,
                                     const v1::RuleSet& rules) {
  Entry& entry = entries_[&rules];
  entry.asked = true;
  if (entry.owner != owner || entry.fleet != fleet) {
    entry.fleet = fleet;
    entry.owner = std::move(owner);
    entry.models = WithDependencies(*fleet, NamedModels(rules));
  }
  return entry.models;
}

void NamedModelsCache::Sweep() {
  std::erase_if(entries_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [rules, entry] : entries_) entry.asked = false;
}

}  // namespace signalbox::rollout
