#include "effect/field_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "decide/semantic_version.h"
#include "effect/field_test.h"

namespace signalbox::effect {
namespace {

// Of an open kind, both are followed for each; beyond it there are too many kinds.
constexpr size_t kRegexesMax = 6;
// Behind the point of the longest way to write a number that is not another one.
constexpr int kDigitsOfDouble = 17;

struct Candidate {
  std::string value;
  bool is_named = false;
};

// Values among which there is one of every kind that the tests can tell apart, but for regular expressions.
class Candidates {
 public:
  Candidates(std::string_view field, const std::vector<v1::FieldTest>& tests) : tests_(tests) {
    if (field == "traffic_type") {
      for (const char* name : {"live", "synthetic", "replay", "shadow"}) AddNamed(name);
      return;  // a request always has one of these
    }
    for (const v1::FieldTest& test : tests) {
      for (const std::string& text : test.in().texts()) AddNamed(text);
    }
    named_ = seen_;
    AddOpen("other");
    for (const v1::FieldTest& test : tests) {
      for (const std::string& text : test.prefix().texts()) AddOpen(text + "other");
      if (test.has_regex()) AddSeedsOf(test.regex());
    }
    AddNumbers();
    AddVersions();
    AddOrderedWithPrefixes();
  }

  const std::vector<Candidate>& all() const { return all_; }

 private:
  void AddNamed(const std::string& value) {
    if (seen_.insert(value).second) all_.push_back({value, true});
  }

  // Where rules name that very value, one that begins with it, so that the kind is there whatever they name.
  void AddOpen(std::string value) {
    while (named_.count(value) > 0) value += 'x';
    if (seen_.insert(value).second) all_.push_back({value, false});
  }

  // Only where rules do not name it: what is appended to a number may be none.
  void AddUnlessNamed(const std::string& value) {
    if (named_.count(value) == 0) AddOpen(value);
  }

  // What a simple expression asks for: its longest run of plain characters, with and without something around it.
  void AddSeedsOf(std::string_view regex) {
    std::string longest;
    std::string run;
    for (const char c : regex) {
      const bool is_plain =
          std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-_ :/@").find(c) != std::string_view::npos;
      if (is_plain) run += c;
      if (run.size() > longest.size()) longest = run;
      if (!is_plain) run.clear();
    }
    if (longest.empty()) return;
    for (const char* format : {"{}", "{}other", "other{}", "other{}other", "{}1", "1{}"})
      AddOpen(fmt::format(fmt::runtime(format), longest));
    for (const v1::FieldTest& test : tests_) {
      for (const std::string& text : test.prefix().texts()) AddOpen(text + longest);
    }
  }

  void AddNumbers() {
    std::set<double> bounds;
    for (const v1::FieldTest& test : tests_) {
      if (!test.has_number()) continue;
      if (test.number().has_min()) bounds.insert(test.number().min());
      if (test.number().has_max()) bounds.insert(test.number().max());
    }
    if (bounds.empty()) return;
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // From 2^53 on, one more or less is the same number.
    AddNumber(std::min(*bounds.begin() - 1, std::nextafter(*bounds.begin(), -kInfinity)));
    for (auto bound = bounds.begin(); bound != bounds.end(); ++bound) {
      AddNumber(*bound);
      const auto next = std::next(bound);
      AddNumber(next == bounds.end() ? std::max(*bound + 1, std::nextafter(*bound, kInfinity))
                                     : std::midpoint(*bound, *next));
    }
  }

  void AddNumber(double number) {
    if (!std::isfinite(number)) return;  // no value is beyond the largest number
    AddOrdered(fmt::format("{}", number));
    // Where rules name it as it is, written otherwise.
    int digits = kDigitsOfDouble;
    while (named_.count(fmt::format("{:.{}e}", number, digits)) > 0) ++digits;
    AddOrdered(fmt::format("{:.{}e}", number, digits));
  }

  void AddVersions() {
    std::vector<std::string> bounds;
    for (const v1::FieldTest& test : tests_) {
      if (!test.has_version()) continue;
      if (!test.version().min().empty()) bounds.push_back(test.version().min());
      if (!test.version().max().empty()) bounds.push_back(test.version().max());
    }
    if (bounds.empty()) return;
    AddOrdered("0.0.0-0");
    for (const std::string& bound : bounds) {
      AddOrdered(bound);
      AddOpen(WithoutBuild(bound) + "+other");
      AddOrdered(NextVersion(bound));
      for (const std::string& version : VersionsNear(bound)) AddWherePrefixesAreAsked(version);
    }
  }

  void AddOrdered(const std::string& value) {
    AddUnlessNamed(value);
    has_order_ = true;
  }

  // Values that have an order and begin with a text: small ones and large ones. Those at the bounds are there already.
  void AddOrderedWithPrefixes() {
    if (!has_order_) return;
    for (const v1::FieldTest& test : tests_) {
      for (const std::string& prefix : test.prefix().texts()) {
        for (const char* end : {"",
                                "0",
                                "0.0",
                                "0-0",
                                ".0",
                                "5",
                                "9",
                                "00",
                                "99",
                                "-0",
                                "999999999",
                                "999999.9",
                                ".999999.999999",
                                ".0-0",
                                ".0.0-0",
                                "-zz",
                                "0+x",
                                "+x",
                                "e300",
                                "999999.0.0",
                                "999999.999999.0"})
          AddUnlessNamed(prefix + end);
      }
    }
  }

  // With a prefix or without: both sides of each prefix have versions on both sides of a bound.
  void AddWherePrefixesAreAsked(const std::string& version) {
    const auto is_prefix = [](const v1::FieldTest& test) { return test.has_prefix(); };
    if (std::any_of(tests_.begin(), tests_.end(), is_prefix)) AddOrdered(version);
  }

  // The bound in full, and with each of its numbers one less or one more.
  static std::vector<std::string> VersionsNear(const std::string& bound) {
    const auto parsed = decide::ParseSemanticVersion(bound);
    if (!parsed.has_value()) return {};
    const auto& [major, minor, patch] = parsed->numbers;
    std::vector<std::string> near = {
        fmt::format("{}.{}.{}{}{}+x", major, minor, patch, parsed->pre_release.empty() ? "" : "-", parsed->pre_release),
        fmt::format("{}.{}.{}-0", major, minor, patch), fmt::format("{}.{}.{}", major, minor, patch + 1),
        fmt::format("{}.{}.0", major, minor + 1), fmt::format("{}.0.0", major + 1)};
    if (patch > 0) near.push_back(fmt::format("{}.{}.{}", major, minor, patch - 1));
    if (minor > 0) near.push_back(fmt::format("{}.{}.999999", major, minor - 1));
    if (major > 0) near.push_back(fmt::format("{}.999999.999999", major - 1));
    return near;
  }

  const std::vector<v1::FieldTest>& tests_;
  std::set<std::string> seen_;
  std::set<std::string> named_;
  bool has_order_ = false;
  std::vector<Candidate> all_;
};

// Kinds by what tells them apart.
class KindTable {
 public:
  ValueKind& At(const std::vector<bool>& holds, std::string_view own) {
    const auto [entry, is_new] = index_.try_emplace({holds, std::string(own)}, kinds.size());
    if (is_new) {
      kinds.emplace_back();
      kinds.back().holds = holds;
      kinds.back().has_example = false;
    }
    return kinds[entry->second];
  }

  std::vector<ValueKind> kinds;

 private:
  std::map<std::pair<std::vector<bool>, std::string>, size_t> index_;
};

void GiveExample(ValueKind& kind, const std::string& value) {
  if (!kind.has_example) kind.example = value;
  kind.has_example = true;
}

// A value that no rule names may match each expression or not.
void AddWithEveryAnswerOf(const std::vector<size_t>& regexes, const std::vector<bool>& holds, KindTable& table) {
  for (size_t answers = 0; answers < (size_t{1} << regexes.size()); ++answers) {
    std::vector<bool> assumed = holds;
    for (size_t i = 0; i < regexes.size(); ++i) assumed[regexes[i]] = (answers >> i & 1) != 0;
    table.At(assumed, "").is_open = true;
  }
}

std::vector<size_t> RegexesOf(const std::vector<v1::FieldTest>& tests) {
  std::vector<size_t> regexes;
  for (size_t i = 0; i < tests.size(); ++i) {
    if (tests[i].has_regex()) regexes.push_back(i);
  }
  return regexes;
}

ValueKind AbsentKind(size_t tests) {
  ValueKind absent;
  absent.holds.assign(tests, false);
  absent.is_absent = true;
  return absent;
}

FieldValues KindsOfText(std::string_view field, const std::vector<v1::FieldTest>& tests, bool is_unit,
                        size_t named_units_max) {
  FieldValues values;
  const std::vector<size_t> regexes = RegexesOf(tests);
  const bool has_too_many_regexes = regexes.size() > kRegexesMax;
  const Candidates candidates(field, tests);
  const size_t named = static_cast<size_t>(std::count_if(candidates.all().begin(), candidates.all().end(),
                                                         [](const Candidate& each) { return each.is_named; }));
  const FieldTests compiled(tests);
  KindTable table;
  for (const Candidate& candidate : candidates.all()) {
    const std::vector<bool> holds = compiled.AllOf(candidate.value);
    const bool is_own = is_unit && candidate.is_named && named <= named_units_max;
    ValueKind& kind = table.At(holds, is_own ? candidate.value : "");
    GiveExample(kind, candidate.value);
    if (candidate.is_named) {
      kind.named.push_back(candidate.value);
    } else {
      kind.is_open = true;
      if (!regexes.empty() && !has_too_many_regexes) AddWithEveryAnswerOf(regexes, holds, table);
    }
  }
  values.kinds = std::move(table.kinds);
  if (field != "traffic_type") values.kinds.insert(values.kinds.begin(), AbsentKind(tests.size()));
  // Not regular expressions, of which every answer is followed for every range.
  const bool has_text =
      std::any_of(tests.begin(), tests.end(), [](const v1::FieldTest& test) { return test.has_prefix(); });
  const bool has_order = std::any_of(tests.begin(), tests.end(),
                                     [](const v1::FieldTest& test) { return test.has_number() || test.has_version(); });
  values.is_approximate = has_text && has_order;
  values.has_units_together = is_unit && named > named_units_max;
  values.is_too_many = has_too_many_regexes || values.kinds.size() > kKindsMax;
  return values;
}

// Lists of items: a test holds when it holds for one of them, so the kinds are what items give together.
FieldValues KindsOfList(const std::vector<v1::FieldTest>& tests) {
  FieldValues items = KindsOfText("segments", tests, /*is_unit=*/false, 0);
  FieldValues lists;
  lists.is_approximate = items.is_approximate;
  lists.is_too_many = items.is_too_many;
  std::map<std::vector<bool>, size_t> index;
  for (const ValueKind& kind : items.kinds) {
    // With each list that there is already, and alone: the absent one stands first, with which all are joined.
    const size_t before = lists.kinds.size();
    for (size_t i = 0; i < std::max<size_t>(before, 1); ++i) {
      ValueKind list = kind;
      if (before > 0) {
        const ValueKind& shorter = lists.kinds[i];
        for (size_t test = 0; test < tests.size(); ++test) list.holds[test] = list.holds[test] || shorter.holds[test];
        if (!shorter.example.empty()) list.example = shorter.example + " " + kind.example;
        list.has_example = shorter.has_example && kind.has_example;
      }
      list.named.clear();
      list.is_open = !list.is_absent;
      // An empty list and one of items that no test is about decide alike, but only one of them is present.
      const auto [entry, is_new] = index.try_emplace(list.holds, lists.kinds.size());
      if (is_new) {
        lists.kinds.push_back(std::move(list));
        continue;
      }
      ValueKind& same = lists.kinds[entry->second];
      if (same.is_absent || !same.has_example) {
        same.example = list.example;
        same.has_example = list.has_example;
      }
      same.is_absent = same.is_absent && list.is_absent;
      same.is_open = true;
    }
    if (lists.kinds.size() <= kKindsMax) continue;
    lists.is_too_many = true;
    break;
  }
  return lists;
}

}  // namespace

FieldValues WorkOutKinds(std::string_view field, const std::vector<v1::FieldTest>& tests, bool is_unit,
                         size_t named_units_max) {
  return field == "segments" ? KindsOfList(tests) : KindsOfText(field, tests, is_unit, named_units_max);
}

}  // namespace signalbox::effect
