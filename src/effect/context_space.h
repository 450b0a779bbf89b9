// Which request contexts rules can tell apart, and sets of them.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "effect/field_values.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::effect {

// By kind of the field: whether it belongs to the set.
using KindSet = std::vector<bool>;

// A set of request contexts: by field of a space, the kinds of values that the field may have. Fields are independent
// of one another, so that a class is impossible only where a set is empty.
struct ContextClass {
  std::vector<KindSet> fields;

  friend bool operator==(const ContextClass&, const ContextClass&) = default;
};

struct SpaceField {
  std::string name;
  // Something is drawn by it.
  bool is_unit = false;
  // Not a field of the request but what an experimentation platform says of the experiment `name`: a kind is one of its
  // cells, or, absent, no cell.
  bool is_remote = false;
  std::vector<v1::FieldTest> tests;
  FieldValues values;
};

// A question about a field that divides a class in two.
struct Split {
  size_t field = 0;
  KindSet yes;
};

// What has been asked is added first; then Finish; then the rest.
class ContextSpace {
 public:
  void AddCondition(const v1::Condition& condition);
  void AddTest(const v1::FieldTest& test);
  // The first of `fields` that a request has is a unit.
  void AddUnit(std::span<const std::string> fields);
  void AddRemote(const v1::Experiment& experiment);
  // Where rules name more units of a field than `named_units_max`, they are not told apart.
  void Finish(size_t named_units_max = kNamedUnitsMax);

  const std::vector<SpaceField>& fields() const { return fields_; }
  // Which field has more kinds of values than can be looked at; empty: none has.
  std::string WhyTooLarge() const;
  // Which fields may have kinds that are not looked at; empty: none has.
  std::string WhyApproximate() const;
  // Whether a request of `contexts` is known. Where it is not, there may be none: regular expressions are not solved.
  bool HasExample(const ContextClass& contexts) const;
  ContextClass Everything() const;

  // Whether the test holds for all of `contexts`, or for none; else nullopt, and `split` divides them.
  std::optional<bool> Ask(const ContextClass& contexts, const v1::FieldTest& test, Split& split) const {
    return Ask(contexts, PlaceOf(test), split);
  }
  // Where the space has a test, for those who ask it often.
  struct TestPlace {
    size_t field = 0;
    size_t test = 0;
  };
  TestPlace PlaceOf(const v1::FieldTest& test) const;
  std::optional<bool> Ask(const ContextClass& contexts, TestPlace place, Split& split) const;
  // The same for "the request has the field".
  std::optional<bool> AskPresent(const ContextClass& contexts, std::string_view field, Split& split) const;
  // The one kind that `field` has in all of `contexts`; else nullptr, and `split` divides them.
  const ValueKind* AskKind(const ContextClass& contexts, size_t field, Split& split) const;

  std::optional<size_t> FindField(std::string_view name) const;
  std::optional<size_t> FindRemote(std::string_view experiment) const;

 private:
  SpaceField& FieldOf(std::string_view name, bool is_remote);

  std::vector<SpaceField> fields_;
  std::map<std::pair<std::string, bool>, size_t> field_index_;
  // By serialised test.
  std::map<std::string, size_t> test_index_;
};

// The part of `contexts` for which the answer is yes, or no. Neither is empty.
ContextClass PartOf(const ContextClass& contexts, const Split& split, bool yes);

// Unites classes of the same `group` that differ in one field only, until no two can be. What is given is disjoint,
// and so is what comes out. Returns the group of each, in order.
std::vector<size_t> Unite(std::vector<ContextClass>& classes, const std::vector<size_t>& groups);

}  // namespace signalbox::effect
