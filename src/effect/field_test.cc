#include "effect/field_test.h"

#include <fmt/format.h>

#include "decide/semantic_version.h"

namespace signalbox::effect {

FieldTests::FieldTests(const std::vector<v1::FieldTest>& tests) : compiler_(memory_) {
  for (const v1::FieldTest& test : tests) {
    *protos_.emplace_back().mutable_field() = test;
    // What the field is called matters not: one that holds any text.
    protos_.back().mutable_field()->set_field("user");
    const auto compiled = compiler_.Compile(protos_.back(), memory_);
    conditions_.push_back(compiled.ok() ? *compiled : nullptr);
    const v1::FieldTest& own = protos_.back().field();
    if (!own.has_in() || !compiled.ok()) others_.push_back(conditions_.size() - 1);
    if (!own.has_in() || !compiled.ok()) continue;
    for (const std::string& text : own.in().texts()) listing_[text].push_back(conditions_.size() - 1);
  }
}

std::vector<bool> FieldTests::AllOf(std::string_view value) const {
  std::vector<bool> holds(conditions_.size(), false);
  for (const size_t test : others_) holds[test] = Holds(test, value);
  // A request does not have a field that is empty.
  const auto listing = value.empty() ? listing_.end() : listing_.find(value);
  if (listing == listing_.end()) return holds;
  for (const size_t test : listing->second) holds[test] = true;
  return holds;
}

bool FieldTests::Holds(size_t test, std::string_view value) const {
  if (conditions_[test] == nullptr) return false;
  uint32_t notes = 0;
  return decide::Holds(*conditions_[test], {.user = value}, notes);
}

std::string WithoutBuild(std::string_view version) { return std::string(version.substr(0, version.find('+'))); }

std::string NextVersion(std::string_view version) {
  const auto parsed = decide::ParseSemanticVersion(version);
  if (!parsed.has_value()) return std::string(version);
  if (!parsed->pre_release.empty()) return WithoutBuild(version) + ".0";
  return fmt::format("{}.{}.{}-0", parsed->numbers[0], parsed->numbers[1], parsed->numbers[2] + 1);
}

}  // namespace signalbox::effect
