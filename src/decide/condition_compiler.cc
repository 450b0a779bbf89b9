// From a condition's tree to its list of tests. It is written from the end: when a test is written, the ones that may
// come after it are known.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "api/rule_set.h"
#include "base/status.h"
#include "decide/arena.h"
#include "decide/condition.h"

namespace signalbox::decide {
namespace {

using rule_set::kConditionDepthMax;
using rule_set::kConditionTestsMax;
using rule_set::kConditionTextsMax;
using rule_set::kPatternBytesMax;
using rule_set::kPatternMemoryBytesMax;

constexpr int32_t kDayMinutes = 24 * 60;
constexpr int64_t kTimeMsMax = 253'402'300'800'000;  // the year 10000

absl::Status Wrong(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

// Sorted, and without those that begin with another: what begins with them begins with that as well.
std::vector<std::string_view> WithoutLonger(std::vector<std::string_view> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  std::vector<std::string_view> kept;
  for (const std::string_view prefix : prefixes) {
    if (kept.empty() || !prefix.starts_with(kept.back())) kept.push_back(prefix);
  }
  return kept;
}

bool AreShort(const v1::Texts& proto) {
  if (static_cast<size_t>(proto.texts_size()) > kShortTextsComparedMax) return false;
  return std::all_of(proto.texts().begin(), proto.texts().end(), [](const std::string& text) {
    return text.size() <= kShortTextBytesMax && text.find('\0') == std::string::npos;
  });
}

}  // namespace

ConditionCompiler::ConditionCompiler(std::pmr::memory_resource& shared_memory) : shared_memory_(shared_memory) {}
ConditionCompiler::~ConditionCompiler() = default;

struct ConditionCompiler::Emitter {
  ConditionCompiler& compiler;
  std::pmr::memory_resource& memory;
  std::vector<Test> tests;  // the last one comes first

  absl::StatusOr<uint16_t> Emit(const v1::Condition& proto, int depth, uint16_t if_true, uint16_t if_false) {
    if (depth > kConditionDepthMax) return Wrong(fmt::format("deeper than {} levels", kConditionDepthMax));
    switch (proto.test_case()) {
      case v1::Condition::kAll:
        for (int i = proto.all().conditions_size(); i > 0; --i) {
          ASSIGN_OR_RETURN(if_true, Emit(proto.all().conditions(i - 1), depth + 1, if_true, if_false));
        }
        return if_true;
      case v1::Condition::kAny:
        for (int i = proto.any().conditions_size(); i > 0; --i) {
          ASSIGN_OR_RETURN(if_false, Emit(proto.any().conditions(i - 1), depth + 1, if_true, if_false));
        }
        return if_false;
      case v1::Condition::kNot:
        return Emit(proto.not_(), depth + 1, if_false, if_true);
      case v1::Condition::kField:
      case v1::Condition::kTime:
      case v1::Condition::kWeekly:
        return EmitTest(proto, if_true, if_false);
      case v1::Condition::TEST_NOT_SET:
        break;
    }
    return Wrong("asks nothing, expected all, any, not, field, time or weekly");
  }

  absl::StatusOr<uint16_t> EmitTest(const v1::Condition& proto, uint16_t if_true, uint16_t if_false) {
    if (tests.size() == kConditionTestsMax) return Wrong(fmt::format("more than {} tests", kConditionTestsMax));
    Test test;
    test.if_true = if_true;
    test.if_false = if_false;
    if (proto.has_field()) RETURN_IF_ERROR(ReadField(proto.field(), test));
    if (proto.has_time()) RETURN_IF_ERROR(ReadTime(proto.time(), test));
    if (proto.has_weekly()) RETURN_IF_ERROR(ReadWeekly(proto.weekly(), test));
    tests.push_back(test);
    return static_cast<uint16_t>(tests.size() - 1);
  }

  absl::Status ReadField(const v1::FieldTest& proto, Test& test) {
    if (proto.field().empty()) return Wrong("a test names no field");
    test.field = ParseField(proto.field());
    if (test.field == FieldId::kAttribute) test.attribute = NewText(proto.field(), memory);
    absl::Status status = ReadTest(proto, test);
    if (!status.ok()) return Wrong(fmt::format("{}: {}", proto.field(), Message(status)));
    return status;
  }

  absl::Status ReadTest(const v1::FieldTest& proto, Test& test) {
    switch (proto.test_case()) {
      case v1::FieldTest::kIn:
        return ReadTexts(proto.in(), test);
      case v1::FieldTest::kPrefix:
        return ReadPrefixes(proto.prefix(), test);
      case v1::FieldTest::kRegex:
        return ReadRegex(proto.regex(), test);
      case v1::FieldTest::kNumber:
        return ReadNumbers(proto.number(), test);
      case v1::FieldTest::kVersion:
        return ReadVersions(proto.version(), test);
      case v1::FieldTest::kPresent:
        test.kind = TestKind::kPresent;
        return absl::OkStatus();
      case v1::FieldTest::TEST_NOT_SET:
        break;
    }
    return Wrong("asks nothing, expected in, prefix, regex, number, version or present");
  }

  absl::Status CheckSize(const v1::Texts& proto) {
    if (proto.texts().empty()) return Wrong("no texts to compare with, expected at least one");
    if (static_cast<size_t>(proto.texts_size()) > kConditionTextsMax)
      return Wrong(fmt::format("{} texts, expected at most {}", proto.texts_size(), kConditionTextsMax));
    return absl::OkStatus();
  }

  std::span<const std::string_view> Copy(const std::vector<std::string_view>& texts) {
    const std::span<std::string_view> copy = NewArray<std::string_view>(texts.size(), memory);
    for (size_t i = 0; i < texts.size(); ++i) copy[i] = NewText(texts[i], memory);
    return copy;
  }

  absl::Status ReadTexts(const v1::Texts& proto, Test& test) {
    RETURN_IF_ERROR(CheckSize(proto));
    if (AreShort(proto)) {
      test.kind = TestKind::kIsOneOfShort;
      std::vector<uint64_t> packed;
      for (const std::string& text : proto.texts()) packed.push_back(PackShortText(text));
      test.short_texts = NewCopy(packed, memory);
      return absl::OkStatus();
    }
    if (static_cast<size_t>(proto.texts_size()) <= kTextsComparedMax) {
      test.kind = TestKind::kIsOneOf;
      test.texts = Copy({proto.texts().begin(), proto.texts().end()});
      return absl::OkStatus();
    }
    test.kind = TestKind::kIsInTable;
    const TextTable*& table = compiler.tables_[&proto];
    if (table == nullptr) {
      std::vector<TextTable::Entry> entries;
      entries.reserve(static_cast<size_t>(proto.texts_size()));
      for (const std::string& text : proto.texts()) entries.push_back({.text = text});
      table = TextTable::Make(entries, compiler.shared_memory_);
    }
    test.table = table;
    return absl::OkStatus();
  }

  absl::Status ReadPrefixes(const v1::Texts& proto, Test& test) {
    RETURN_IF_ERROR(CheckSize(proto));
    test.kind = TestKind::kHasPrefix;
    test.texts = Copy(WithoutLonger({proto.texts().begin(), proto.texts().end()}));
    return absl::OkStatus();
  }

  absl::Status ReadRegex(const std::string& pattern, Test& test) {
    if (pattern.size() > kPatternBytesMax)
      return Wrong(
          fmt::format("a regular expression of {} bytes, expected at most {}", pattern.size(), kPatternBytesMax));
    auto& regex = compiler.regexes_[pattern];
    if (regex == nullptr) {
      re2::RE2::Options options;
      options.set_log_errors(false);
      options.set_max_mem(kPatternMemoryBytesMax);
      options.set_never_capture(true);
      regex = std::make_unique<const re2::RE2>(pattern, options);
    }
    if (!regex->ok()) {
      return Wrong(fmt::format("regular expression \"{}\": {} (RE2's syntax: github.com/google/re2/wiki/Syntax)",
                               pattern, regex->error()));
    }
    test.kind = TestKind::kRegex;
    test.regex = regex.get();
    return absl::OkStatus();
  }

  static absl::Status ReadNumbers(const v1::NumberRange& proto, Test& test) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    test.kind = TestKind::kNumber;
    test.number = {.min = proto.has_min() ? proto.min() : -kInfinity, .max = proto.has_max() ? proto.max() : kInfinity};
    if (!proto.has_min() && !proto.has_max()) return Wrong("a range of numbers without ends, expected one at least");
    if (std::isnan(test.number.min) || std::isnan(test.number.max)) return Wrong("an end of the range is no number");
    test.excludes_min = proto.has_min() && proto.excludes_min();
    test.excludes_max = proto.has_max() && proto.excludes_max();
    return absl::OkStatus();
  }

  absl::Status ReadVersions(const v1::VersionRange& proto, Test& test) {
    test.kind = TestKind::kVersion;
    test.version = {};
    if (proto.min().empty() && proto.max().empty())
      return Wrong("a range of versions without ends, expected one at least");
    RETURN_IF_ERROR(ReadVersion(proto.min(), test.version.min));
    RETURN_IF_ERROR(ReadVersion(proto.max(), test.version.max));
    test.excludes_min = proto.excludes_min();
    test.excludes_max = proto.excludes_max();
    return absl::OkStatus();
  }

  absl::Status ReadVersion(const std::string& text, const SemanticVersion*& out) {
    if (text.empty()) return absl::OkStatus();
    const auto version = ParseSemanticVersion(NewText(text, memory));
    if (!version.has_value()) return Wrong(fmt::format("\"{}\" is no version, expected one like 4.2.1", text));
    auto* kept = New<SemanticVersion>(memory);
    *kept = *version;
    out = kept;
    return absl::OkStatus();
  }

  static absl::Status ReadTime(const v1::TimeWindow& proto, Test& test) {
    test.kind = TestKind::kTime;
    test.time = {.from_unix_ms = proto.from_unix_ms(), .to_unix_ms = proto.to_unix_ms()};
    if (proto.from_unix_ms() < 0 || proto.to_unix_ms() < 0 || proto.from_unix_ms() > kTimeMsMax ||
        proto.to_unix_ms() > kTimeMsMax)
      return Wrong("time window: expected times from 1970 to 9999");
    if (proto.from_unix_ms() == 0 && proto.to_unix_ms() == 0) return Wrong("time window: has no ends, expected one");
    return absl::OkStatus();
  }

  static absl::Status ReadWeekly(const v1::WeeklyWindow& proto, Test& test) {
    test.kind = TestKind::kWeekly;
    test.weekly = {};
    for (const int32_t day : proto.days()) {
      if (day < 1 || day > 7)
        return Wrong(fmt::format("weekly window: day {}, expected 1 (Monday) to 7 (Sunday)", day));
      test.weekly.days = static_cast<uint8_t>(test.weekly.days | 1U << (day - 1));
    }
    if (proto.days().empty()) test.weekly.days = 0x7F;
    if (proto.from_minute() < 0 || proto.from_minute() >= kDayMinutes || proto.to_minute() < 0 ||
        proto.to_minute() > kDayMinutes) {
      return Wrong(fmt::format("weekly window: from minute {} to minute {}, expected 0 to 1439 and 0 to 1440",
                               proto.from_minute(), proto.to_minute()));
    }
    if (proto.utc_offset_minutes() < -720 || proto.utc_offset_minutes() > 840) {
      return Wrong(
          fmt::format("weekly window: {} minutes ahead of UTC, expected -720 to 840", proto.utc_offset_minutes()));
    }
    test.weekly.from_minute = static_cast<int16_t>(proto.from_minute());
    test.weekly.to_minute = static_cast<int16_t>(proto.to_minute());
    test.weekly.utc_offset_minutes = static_cast<int16_t>(proto.utc_offset_minutes());
    return absl::OkStatus();
  }
};

absl::StatusOr<const Condition*> ConditionCompiler::Compile(const v1::Condition& proto,
                                                            std::pmr::memory_resource& memory) {
  Emitter emitter{.compiler = *this, .memory = memory, .tests = {}};
  ASSIGN_OR_RETURN(uint16_t first, emitter.Emit(proto, 1, Condition::kHolds, Condition::kFails));
  if (first == Condition::kHolds) return nullptr;
  // In the order in which they are met.
  const auto last = static_cast<uint16_t>(emitter.tests.size() - 1);
  const auto turn = [&](uint16_t& at) {
    if (at < Condition::kFails) at = static_cast<uint16_t>(last - at);
  };
  turn(first);
  for (Test& test : emitter.tests) {
    turn(test.if_true);
    turn(test.if_false);
  }
  std::reverse(emitter.tests.begin(), emitter.tests.end());
  auto* condition = New<Condition>(memory);
  condition->tests = NewCopy(emitter.tests, memory);
  condition->first = first;
  condition->proto = &proto;
  return condition;
}

absl::StatusOr<const Condition*> ConditionCompiler::CompileShared(const v1::Condition& proto) {
  std::string bytes = proto.SerializeAsString();
  if (const auto known = shared_.find(bytes); known != shared_.end()) return known->second;
  ASSIGN_OR_RETURN(const Condition* condition, Compile(proto, shared_memory_));
  shared_.emplace(std::move(bytes), condition);
  return condition;
}

}  // namespace signalbox::decide
