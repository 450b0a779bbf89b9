#include "effect/tested_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace signalbox::effect {
namespace {

struct TextField {
  std::string_view name;
  std::string rules::TestedContext::*given;
  std::string_view decide::RequestContext::*field;
};
constexpr TextField kTextFields[] = {
    {"user", &rules::TestedContext::user, &decide::RequestContext::user},
    {"country", &rules::TestedContext::country, &decide::RequestContext::country},
    {"locale", &rules::TestedContext::locale, &decide::RequestContext::locale},
    {"device", &rules::TestedContext::device, &decide::RequestContext::device},
    {"surface", &rules::TestedContext::surface, &decide::RequestContext::surface},
    {"tenant", &rules::TestedContext::tenant, &decide::RequestContext::tenant},
    {"app_version", &rules::TestedContext::app_version, &decide::RequestContext::app_version},
    {"segments", &rules::TestedContext::segments, &decide::RequestContext::segments},
};

}  // namespace

TestedRequest::TestedRequest(const rules::TestedContext& given, const std::vector<std::string>& generated) {
  context_.objective = given.objective;
  for (const TextField& field : kTextFields) context_.*(field.field) = given.*(field.given);
  context_.traffic_type = decide::ParseTrafficType(given.traffic_type).value_or(decide::TrafficType::kLive);
  context_.now_unix_ms = given.now_unix_ms;
  for (const auto& [key, value] : given.attributes) attributes_.push_back({key, value});
  context_.override_model = given.override_model;
  for (const auto& [experiment, cell] : given.override_cells) cells_.push_back({experiment, cell});
  context_.override_cells = cells_;
  for (const std::string& name : generated) Generate(name);
  for (Generated& one : generated_) {
    if (one.field == nullptr) {
      one.attribute = attributes_.size();
      attributes_.push_back({one.name, {}});
    }
  }
}

void TestedRequest::Generate(const std::string& name) {
  const auto* field = std::find_if(std::begin(kTextFields), std::end(kTextFields),
                                   [&](const TextField& each) { return each.name == name; });
  if (field != std::end(kTextFields)) {
    if ((context_.*(field->field)).empty()) generated_.push_back({name, "", field->field, 0});
    return;
  }
  const bool is_given =
      std::any_of(attributes_.begin(), attributes_.end(), [&](const auto& each) { return each.key == name; });
  if (!is_given) generated_.push_back({name, "", nullptr, 0});
}

const decide::RequestContext& TestedRequest::AsGiven() {
  for (const Generated& one : generated_) {
    if (one.field != nullptr) context_.*(one.field) = {};
  }
  const auto given = attributes_.size() -
                     static_cast<size_t>(std::count_if(generated_.begin(), generated_.end(),
                                                       [](const Generated& one) { return one.field == nullptr; }));
  context_.attributes = std::span(attributes_.data(), given);
  return context_;
}

const decide::RequestContext& TestedRequest::OfUnit(uint64_t seed, uint64_t number) {
  for (Generated& one : generated_) {
    one.value.clear();
    fmt::format_to(std::back_inserter(one.value), "{}-{}-{}", one.name, seed, number);
    if (one.field != nullptr) {
      context_.*(one.field) = one.value;
    } else {
      attributes_[one.attribute].value = one.value;
    }
  }
  context_.attributes = attributes_;
  return context_;
}

}  // namespace signalbox::effect
