// A rule on its way into the draft, and the parts that rules of several kinds have. Each kind is read in a file of its
// own, read_KIND.cc, and stands in one line of the table in rule_reader.cc.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/field_reader.h"
#include "rules/rule_draft.h"

namespace signalbox::rules {

class RuleReading {
 public:
  RuleReading(const DeclaredRule& declared, RuleSetDraft& target, std::vector<Diagnostic>& diagnostics)
      : declared_(declared), reader(declared, diagnostics), rule(reader.Rule()), draft(target) {}

 private:
  const DeclaredRule& declared_;

 public:
  FieldReader reader;
  const Field rule;
  RuleSetDraft& draft;

  const std::string& label() const { return declared_.label; }
  bool Has(std::string_view key) const { return Key(key).IsPresent(); }
  Field Key(std::string_view key) const { return reader.Key(rule, key); }

  // Reads `key`, and begins every message from then on with `kind` and the id. Empty when there is none.
  std::string ReadId(const char* key, std::string_view kind);
  std::string ReadSeed();
  // Names of context fields, in order; empty when it is the user, which is what is meant when nothing is said.
  std::vector<std::string> ReadUnit() { return ReadUnit(Key("unit")); }
  std::vector<std::string> ReadUnit(const Field& unit);
  // The share of `key`, or 0 after an error.
  uint32_t ReadPercentage(const char* key, double low);
  // Milliseconds since 1970; 0 when there is none.
  int64_t ReadMoment(const Field& field);
  std::vector<v1::ModelRef> ReadModels(const Field& field, size_t max, Ensembles ensembles);
  // One name, or an array of them, of policies, ensembles or layers. That they exist is checked later.
  std::vector<std::string> ReadNames(const Field& field, NameKind kind, size_t max);
  std::string ReadName(const Field& field, NameKind kind);
  void FillSource(v1::SourceLocation& source) const;

  template <typename Rule>
  void ReadCondition(Rule& message) {
    if (Has("when")) reader.Condition(Key("when"), *message.mutable_condition());
  }

  template <typename Rule>
  void ReadTargets(Draft<Rule>& read) {
    std::vector<std::string> names;
    reader.Targets(Key("targetObjectives"), names, read.targets);
    read.rule.mutable_objectives()->Assign(names.begin(), names.end());
  }

  template <typename Rule>
  void Keep(Draft<Rule> read, std::vector<Draft<Rule>>& all) {
    if (reader.ok()) return all.push_back(std::move(read));
    const auto& names = read.rule.objectives();
    draft.refused.push_back(
        {reader.subject(), {names.begin(), names.end()}, std::move(read.targets), read.rule.source()});
  }

  // Of rules without Objectives.
  template <typename Rule>
  void KeepPlain(Rule read, std::vector<Rule>& all) {
    if (reader.ok()) all.push_back(std::move(read));
  }
};

// What a rule can say is in api/rules.d.ts.
void ReadObjective(RuleReading& reading);
void ReadExperiment(RuleReading& reading);
void ReadTrafficShift(RuleReading& reading);
void ReadContextRule(RuleReading& reading);
void ReadLayer(RuleReading& reading);
void ReadHoldout(RuleReading& reading);
void ReadShadow(RuleReading& reading);
void ReadEnsemble(RuleReading& reading);
void ReadOverride(RuleReading& reading);
void ReadPolicy(RuleReading& reading);
void ReadFallbacks(RuleReading& reading);

// {outputs: [...]} or {base64: '...'}, as one serialised response.
void ReadStaticAnswer(FieldReader& reader, const Field& field, v1::StaticAnswer& answer);

}  // namespace signalbox::rules
