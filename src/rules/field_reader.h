// Reads the parts of a rule and reports each that is not what it should be, with its place.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/protobuf/map.h"
#include "rules/rule_draft.h"
#include "rules/rule_value.h"
#include "rules/rules.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

// A value on the way from the rule down to its parts.
struct Field {
  const RuleValue* value = nullptr;
  const SourceNode* node = nullptr;  // may be nullptr
  Place place;                       // of the nearest part that has one
  std::string path;                  // "cellToModel.2.name"; empty for the rule itself

  // Undefined and null are as good as absent.
  bool IsPresent() const;
  const RuleValue::Object* AsObject() const;
  const RuleValue::Array* AsArray() const;
};

// Whether an ensemble may stand in the place of a model.
enum class Ensembles { kRefused, kAllowed };

// `the number 5`, `the text "x"`, `a function`, ...
std::string InWords(const RuleValue& value);

class FieldReader {
 public:
  FieldReader(const DeclaredRule& declared, std::vector<Diagnostic>& diagnostics)
      : declared_(declared), diagnostics_(diagnostics), subject_(declared.label) {}

  // "experiment 12345": begins every message from now on.
  void set_subject(std::string subject) { subject_ = std::move(subject); }
  const std::string& subject() const { return subject_; }
  bool ok() const { return ok_; }

  v1::SourceLocation SourceOf(const Field& field) const;
  // Remembers that the rule names something that some rule has to declare.
  void Use(const Field& field, NameKind kind, const std::string& name);
  std::vector<NameUse> take_uses() { return std::move(uses_); }

  Field Rule() const;
  Field Key(const Field& object, std::string_view key) const;
  // The key that stands at `index`: for objects with more keys than can each be searched for.
  Field Property(const Field& object, size_t index) const;
  Field Item(const Field& array, size_t index) const;

  void Error(const Field& field, std::string_view what);
  void ErrorExpected(const Field& field, std::string_view expected);
  // Reports an object of more than `max` keys.
  bool HasTooManyKeys(const Field& object, size_t max = 1000);
  // Refuses every key of `object` that is not in `known`.
  void CheckKeys(const Field& object, std::initializer_list<const char*> known);

  // Each of these reports what is wrong and then returns nothing. An absent field is wrong where it is read.
  std::optional<double> Number(const Field& field, double low, double high, std::string_view expected);
  std::optional<std::string> Text(const Field& field, std::string_view expected);
  // A name, or a whole number, as an id or a version: model-name letters.
  std::optional<std::string> Id(const Field& field);
  std::optional<uint32_t> PercentageAsPpm(const Field& field, double low);
  void Model(const Field& field, v1::ModelRef& model, Ensembles ensembles = Ensembles::kRefused);
  void Condition(const Field& field, v1::Condition& condition);
  void Parameters(const Field& field, google::protobuf::Map<std::string, std::string>& parameters);
  // `Objectives.Name`, or an array of them.
  void Targets(const Field& field, std::vector<std::string>& names, std::vector<Place>& places);
  // A whole number.
  std::optional<uint64_t> Whole(const Field& field, double low, double high);
  // The texts that describe a model: short, free.
  void Description(const Field& field, std::string& text);

 private:
  void Target(const Field& field, std::vector<std::string>& names, std::vector<Place>& places);

  const DeclaredRule& declared_;
  std::vector<Diagnostic>& diagnostics_;
  std::string subject_;
  std::vector<NameUse> uses_;
  bool ok_ = true;
};

}  // namespace signalbox::rules
