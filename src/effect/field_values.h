// The values that a field of the request context can have, as far as rules can tell them apart.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "signalbox/v1/condition.pb.h"

namespace signalbox::effect {

// All values of which the same tests hold.
struct ValueKind {
  // By test of the field.
  std::vector<bool> holds;
  // The request does not have the field.
  bool is_absent = false;
  // It has values that no rule names.
  bool is_open = false;
  // The values that rules name; of a kind that is open as well, only some of its values.
  std::vector<std::string> named;
  // A value of this kind; of `segments` several, separated by spaces. Empty for is_absent, and where none is known:
  // regular expressions are not solved, so that of a value that no rule names it is taken as possible that they match,
  // and that they do not.
  std::string example;
  bool has_example = true;
};

struct FieldValues {
  std::vector<ValueKind> kinds;
  // Tests of text and of numbers or versions on one field, or many regular expressions: some kinds may be missing.
  bool is_approximate = false;
  // Rules name more units than are told apart: those of a kind are told as if they were many.
  bool has_units_together = false;
  // There are more kinds than kKindsMax: `kinds` are some of them.
  bool is_too_many = false;
};

// Of one field; beyond it nobody reads what would be said.
inline constexpr size_t kKindsMax = 4096;
// A unit that rules name is a kind of its own, since its buckets are known; where they name more than so many (or what
// is asked for), those that the rules do not tell apart are one kind.
inline constexpr size_t kNamedUnitsMax = 32;
// What a diff tries first.
inline constexpr size_t kNamedUnitsApartMax = 2'000;

// `tests` are all of one field. `is_unit`: something is drawn by the field.
FieldValues WorkOutKinds(std::string_view field, const std::vector<v1::FieldTest>& tests, bool is_unit,
                         size_t named_units_max = kNamedUnitsMax);

}  // namespace signalbox::effect
