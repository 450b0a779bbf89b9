#include "effect/rule_identity.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <utility>

namespace signalbox::effect {
namespace {

// Its kind first, so that rules of two kinds are never taken for one another.
template <typename Rule>
std::string OwnText(Rule rule) {
  rule.clear_objectives();
  return rule.GetTypeName() + ":" + TextOf(std::move(rule));
}
template <>
std::string OwnText(v1::Objective rule) {
  rule.clear_name();
  return rule.GetTypeName() + ":" + TextOf(std::move(rule));
}
template <>
std::string OwnText(v1::Layer rule) {
  return rule.GetTypeName() + ":" + TextOf(std::move(rule));
}
template <>
std::string OwnText(v1::Holdout rule) {
  return rule.GetTypeName() + ":" + TextOf(std::move(rule));
}

}  // namespace

std::string DeterministicBytes(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::io::StringOutputStream stream(&text);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return text;
}

size_t RuleIdentity::NumberOfText(std::string text) {
  return by_text_.try_emplace(std::move(text), by_text_.size() + 1).first->second;
}

template <typename Rule>
size_t RuleIdentity::NumberOf(const Rule& rule) {
  if (const auto known = by_address_.find(&rule); known != by_address_.end()) return known->second;
  return by_address_[&rule] = NumberOfText(OwnText(rule));
}

size_t RuleIdentity::NumberOfShared(const v1::PublishedRuleSet& rules) {
  if (const auto known = by_address_.find(&rules); known != by_address_.end()) return known->second;
  std::string text = "shared:";
  // Each with its length, so that two are never taken for two others.
  const auto add = [&](const std::string& part) { text += fmt::format("{}:{}", part.size(), part); };
  for (const v1::Policy& policy : rules.rule_set().policies()) add("p" + TextOf(policy));
  for (const v1::Ensemble& ensemble : rules.rule_set().ensembles()) add("e" + TextOf(ensemble));
  for (const v1::ShiftSetting& setting : rules.traffic().shifts()) add("s" + DeterministicBytes(setting));
  return by_address_[&rules] = NumberOfText(std::move(text));
}

std::vector<size_t> RuleIdentity::Of(const decide::Objective& objective) {
  std::vector<size_t> numbers = {NumberOf(*objective.rule), NumberOfShared(*objective.rule_set)};
  const auto add_all = [&](const auto& rules) {
    numbers.push_back(rules.size());
    for (const auto& each : rules) numbers.push_back(each.rule == nullptr ? 0 : NumberOf(*each.rule));
  };
  add_all(objective.overrides);
  add_all(objective.context_rules);
  add_all(objective.experiments);
  add_all(objective.shifts);
  add_all(objective.shadows);
  add_all(objective.layers);
  add_all(objective.holdouts);
  return numbers;
}

}  // namespace signalbox::effect
