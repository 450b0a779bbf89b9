#include "api/rule_set.h"

#include <algorithm>

namespace signalbox::rule_set {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool Consists(std::string_view text, std::string_view of_letters_digits_and) {
  return !text.empty() && text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [&](char c) {
    return IsLetter(c) || (c >= '0' && c <= '9') || of_letters_digits_and.find(c) != std::string_view::npos;
  });
}

}  // namespace

bool IsName(std::string_view text) { return Consists(text, "._-"); }

bool IsObjectiveName(std::string_view text) { return Consists(text, "_") && IsLetter(text.front()); }

std::string ModelId(const v1::ModelRef& ref) {
  if (!ref.ensemble().empty()) return "ensemble:" + ref.ensemble();
  return ref.version().empty() ? ref.name() : ref.name() + "@" + ref.version();
}

v1::ObjectiveConfig ConfigOf(const v1::Objective& objective, const v1::ModelRef& model,
                             const v1::Experiment* experiment, const v1::Cell* cell) {
  v1::ObjectiveConfig config;
  config.set_objective(objective.name());
  config.set_model_name(model.ensemble().empty() ? model.name() : ModelId(model));
  config.set_model_version(model.version());
  config.set_model_input_type(objective.model_input_type());
  config.set_model_type(objective.model_type());
  *config.mutable_parameters() = objective.parameters();
  if (experiment == nullptr) return config;
  config.set_experiment(experiment->id());
  config.set_cell(cell->name());
  (*config.mutable_cells())[experiment->id()] = cell->name();
  if (!experiment->model_input_type().empty()) config.set_model_input_type(experiment->model_input_type());
  if (!experiment->model_type().empty()) config.set_model_type(experiment->model_type());
  for (const auto& [key, value] : cell->parameters()) (*config.mutable_parameters())[key] = value;
  return config;
}

}  // namespace signalbox::rule_set
