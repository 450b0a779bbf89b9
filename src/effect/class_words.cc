#include "effect/class_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace signalbox::effect {
namespace {

constexpr size_t kShownValuesMax = 12;
// Of two tests together, all pairs are tried.
constexpr size_t kPairedTestsMax = 24;

std::string SetText(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  if (values.size() <= kShownValuesMax) return fmt::format("{{{}}}", fmt::join(values, ", "));
  const size_t left_out = values.size() - kShownValuesMax;
  values.resize(kShownValuesMax);
  return fmt::format("{{{}, ... {} more}}", fmt::join(values, ", "), left_out);
}

std::string IsText(const std::string& field, const std::vector<std::string>& values, bool holds) {
  if (field == "segments") {
    if (values.size() == 1) return fmt::format("segments {} {}", holds ? "has" : "has no", values[0]);
    return fmt::format("segments has {} of {}", holds ? "one" : "none", SetText(values));
  }
  if (values.size() == 1) return fmt::format("{} is {}{}", field, holds ? "" : "not ", values[0]);
  return fmt::format("{} {}in {}", field, holds ? "" : "not ", SetText(values));
}

std::string PrefixText(const std::string& field, const std::vector<std::string>& values, bool holds) {
  return fmt::format("{} {} with {}", field, holds ? "begins" : "does not begin",
                     values.size() == 1 ? values[0] : "one of " + SetText(values));
}

std::string RangeText(const std::string& field, const std::string& min, const std::string& max, bool excludes_min,
                      bool excludes_max) {
  std::string text;
  if (!min.empty() && min == max) return fmt::format("{} is {}", field, min);
  if (!min.empty()) text = fmt::format("{} {} {}", field, excludes_min ? ">" : ">=", min);
  if (!max.empty())
    text += fmt::format("{}{} {} {}", text.empty() ? "" : " and ", field, excludes_max ? "<" : "<=", max);
  return text;
}

std::string RangeText(const v1::FieldTest& test) {
  if (test.has_version()) {
    const v1::VersionRange& range = test.version();
    return RangeText(test.field(), range.min(), range.max(), range.excludes_min(), range.excludes_max());
  }
  const v1::NumberRange& range = test.number();
  return RangeText(test.field(), range.has_min() ? fmt::format("{}", range.min()) : "",
                   range.has_max() ? fmt::format("{}", range.max()) : "", range.excludes_min(), range.excludes_max());
}

std::vector<std::string> TextsOf(const v1::Texts& texts) { return {texts.texts().begin(), texts.texts().end()}; }

KindSet WhereItHolds(const SpaceField& field, size_t test, bool holds) {
  KindSet set(field.values.kinds.size());
  for (size_t kind = 0; kind < set.size(); ++kind) set[kind] = field.values.kinds[kind].holds[test] == holds;
  return set;
}

KindSet Both(const KindSet& a, const KindSet& b) {
  KindSet both(a.size());
  for (size_t kind = 0; kind < a.size(); ++kind) both[kind] = a[kind] && b[kind];
  return both;
}

// "plan < 3" for "not (plan >= 3)": the same where the value is known to be a number or a version. Empty: there is
// none.
std::string OppositeText(const v1::FieldTest& test) {
  v1::FieldTest opposite = test;
  if (test.has_number() && test.number().has_min() != test.number().has_max()) {
    v1::NumberRange& range = *opposite.mutable_number();
    range.Clear();
    if (test.number().has_min()) {
      range.set_max(test.number().min());
      range.set_excludes_max(!test.number().excludes_min());
    } else {
      range.set_min(test.number().max());
      range.set_excludes_min(!test.number().excludes_max());
    }
    return RangeText(opposite);
  }
  if (test.has_version() && test.version().min().empty() != test.version().max().empty()) {
    v1::VersionRange& range = *opposite.mutable_version();
    range.Clear();
    if (!test.version().min().empty()) {
      range.set_max(test.version().min());
      range.set_excludes_max(!test.version().excludes_min());
    } else {
      range.set_min(test.version().max());
      range.set_excludes_min(!test.version().excludes_max());
    }
    return RangeText(opposite);
  }
  return "";
}

std::string PairText(const v1::FieldTest& first, bool first_holds, const v1::FieldTest& second, bool second_holds) {
  const bool is_ordered = first.test_case() == second.test_case() && first_holds != second_holds;
  const std::string opposite = is_ordered ? OppositeText(first_holds ? second : first) : "";
  if (!opposite.empty()) return fmt::format("{} and {}", DescribeTest(first_holds ? first : second, true), opposite);
  return fmt::format("{} and {}", DescribeTest(first, first_holds), DescribeTest(second, second_holds));
}

// Words for the kinds of one field.
class FieldWords {
 public:
  FieldWords(const SpaceField& field, const KindSet& set) : field_(field), set_(set) {}

  std::string Text() const {
    if (IsAll([](const ValueKind&) { return true; })) return "";
    if (field_.is_remote) return RemoteText();
    const bool is_plain = IsAll([](const ValueKind& kind) { return kind.is_open; }) && field_.is_unit;
    if (is_plain) return "";
    if (IsAll([](const ValueKind& kind) { return kind.is_absent; })) return fmt::format("no {}", field_.name);
    if (IsAll([](const ValueKind& kind) { return !kind.is_absent; })) return fmt::format("{} is given", field_.name);
    if (field_.name != "segments") {
      if (const std::string text = NamedText(); !text.empty()) return text;
    }
    if (const std::string text = OfTests(); !text.empty()) return text;
    return EachKindText();
  }

 private:
  // Whether the set has just the kinds of which `holds`.
  template <typename Predicate>
  bool IsAll(Predicate holds) const {
    for (size_t kind = 0; kind < set_.size(); ++kind) {
      if (set_[kind] != holds(field_.values.kinds[kind])) return false;
    }
    return true;
  }

  std::string RemoteText() const {
    std::vector<std::string> cells;
    bool has_none = false;
    for (size_t kind = 0; kind < set_.size(); ++kind) {
      if (!set_[kind]) continue;
      if (field_.values.kinds[kind].is_absent)
        has_none = true;
      else
        cells.push_back(field_.values.kinds[kind].example);
    }
    const std::string given = cells.size() == 1 ? "cell " + cells[0] : "a cell in " + SetText(cells);
    if (cells.empty()) return fmt::format("the platform gives no cell of experiment {}", field_.name);
    return fmt::format("the platform gives {}{} of experiment {}", given, has_none ? ", or none," : "", field_.name);
  }

  // "is", "in", "not in", where that says it.
  std::string NamedText() const {
    std::vector<std::string> in;
    std::vector<std::string> out;
    bool in_is_named = true;
    bool out_is_named = true;
    bool has_absent = true;
    for (size_t kind = 0; kind < set_.size(); ++kind) {
      const ValueKind& each = field_.values.kinds[kind];
      if (each.is_absent) {
        has_absent = set_[kind];
        continue;
      }
      bool& is_named = set_[kind] ? in_is_named : out_is_named;
      std::vector<std::string>& values = set_[kind] ? in : out;
      is_named = is_named && !each.is_open;
      values.insert(values.end(), each.named.begin(), each.named.end());
    }
    const bool can_be_absent = field_.name != "traffic_type";
    if (in_is_named && !in.empty())
      return IsText(field_.name, in, true) + (has_absent && can_be_absent ? " or missing" : "");
    if (out_is_named && !out.empty())
      return (has_absent ? "" : field_.name + " is given and ") + IsText(field_.name, out, false);
    return "";
  }

  // One test, or two together, or their opposites.
  std::string OfTests() const {
    for (size_t test = 0; test < field_.tests.size(); ++test) {
      for (const bool holds : {true, false}) {
        if (WhereItHolds(field_, test, holds) == set_) return DescribeTest(field_.tests[test], holds);
      }
    }
    const size_t tests = std::min(field_.tests.size(), kPairedTestsMax);
    for (size_t first = 0; first < tests; ++first) {
      for (size_t second = first + 1; second < tests; ++second) {
        for (const int which : {3, 1, 2, 0}) {
          const KindSet both =
              Both(WhereItHolds(field_, first, (which & 1) != 0), WhereItHolds(field_, second, (which & 2) != 0));
          if (both == set_)
            return PairText(field_.tests[first], (which & 1) != 0, field_.tests[second], (which & 2) != 0);
        }
      }
    }
    return "";
  }

  // The last resort: long, but right.
  std::string EachKindText() const {
    std::vector<std::string> texts;
    for (size_t kind = 0; kind < set_.size(); ++kind) {
      if (!set_[kind]) continue;
      const ValueKind& each = field_.values.kinds[kind];
      if (each.is_absent) {
        texts.push_back(fmt::format("no {}", field_.name));
      } else if (!each.is_open) {
        texts.push_back(IsText(field_.name, each.named, true));
      } else {
        texts.push_back(SignatureText(each));
      }
    }
    return texts.size() == 1 ? texts[0] : fmt::format("({})", fmt::join(texts, " or "));
  }

  std::string SignatureText(const ValueKind& kind) const {
    std::vector<std::string> texts;
    for (size_t test = 0; test < field_.tests.size(); ++test) {
      const bool is_presence = field_.tests[test].has_present();
      if (!is_presence) texts.push_back(DescribeTest(field_.tests[test], kind.holds[test]));
    }
    return texts.empty() ? fmt::format("{} is given", field_.name) : fmt::format("{}", fmt::join(texts, " and "));
  }

  const SpaceField& field_;
  const KindSet& set_;
};

}  // namespace

std::string DescribeTest(const v1::FieldTest& test, bool holds) {
  switch (test.test_case()) {
    case v1::FieldTest::kIn:
      return IsText(test.field(), TextsOf(test.in()), holds);
    case v1::FieldTest::kPrefix:
      return PrefixText(test.field(), TextsOf(test.prefix()), holds);
    case v1::FieldTest::kRegex:
      return fmt::format("{} {} /{}/", test.field(), holds ? "matches" : "does not match", test.regex());
    case v1::FieldTest::kNumber:
    case v1::FieldTest::kVersion:
      return holds ? RangeText(test) : fmt::format("not ({})", RangeText(test));
    case v1::FieldTest::kPresent:
      return holds ? fmt::format("{} is given", test.field()) : fmt::format("no {}", test.field());
    case v1::FieldTest::TEST_NOT_SET:
      return "";
  }
  return "";
}

std::string DescribeClass(const ContextSpace& space, const ContextClass& contexts) {
  std::vector<std::string> texts;
  for (size_t field = 0; field < space.fields().size(); ++field) {
    std::string text = FieldWords(space.fields()[field], contexts.fields[field]).Text();
    if (!text.empty()) texts.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(texts, " and "));
}

}  // namespace signalbox::effect
