// A rule's condition in the form in which it is evaluated for every request: a flat list of tests, each of which knows
// which one comes next when it holds and when it does not. No tree is walked, nothing is allocated. Its limits are
// those of api/rule_set.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/string_map.h"
#include "decide/context_field.h"
#include "decide/request_context.h"
#include "decide/semantic_version.h"
#include "decide/text_table.h"
#include "signalbox/v1/condition.pb.h"

namespace re2 {
class RE2;
}

namespace signalbox::decide {

// Texts of a set up to this are compared one by one; more are looked up.
inline constexpr size_t kTextsComparedMax = 4;
// Short texts are compared as numbers, so there may be more of them.
inline constexpr size_t kShortTextBytesMax = 8;
inline constexpr size_t kShortTextsComparedMax = 16;

enum class TestKind : uint8_t {
  kIsOneOfShort,
  kIsOneOf,
  kIsInTable,
  kHasPrefix,
  kRegex,
  kNumber,
  kVersion,
  kPresent,
  kTime,
  kWeekly
};

// Up to eight bytes as one number; of two texts without a zero byte, the same number means the same text.
inline uint64_t PackShortText(std::string_view text) {
  const auto load = [&]<typename Number>(size_t at, Number number) {
    std::memcpy(&number, text.data() + at, sizeof(number));
    return static_cast<uint64_t>(number);
  };
  // Two loads that overlap in the middle cover every length without a loop.
  const size_t size = text.size();
  if (size >= 4) return load(0, uint32_t{}) | load(size - 4, uint32_t{}) << (8 * (size - 4));
  if (size >= 2) return load(0, uint16_t{}) | load(size - 2, uint16_t{}) << (8 * (size - 2));
  return size == 0 ? 0 : static_cast<uint8_t>(text.front());
}

struct NumberTest {
  double min = 0;
  double max = 0;
};
struct VersionTest {
  const SemanticVersion* min = nullptr;  // nullptr: open on that side
  const SemanticVersion* max = nullptr;
};
struct TimeTest {
  int64_t from_unix_ms = 0;
  int64_t to_unix_ms = 0;
};
struct WeeklyTest {
  uint8_t days = 0;  // bit 0 Monday ... bit 6 Sunday
  int16_t from_minute = 0;
  int16_t to_minute = 0;
  int16_t utc_offset_minutes = 0;
};

struct Test {
  TestKind kind = TestKind::kPresent;
  FieldId field = FieldId::kUser;
  bool excludes_min = false;
  bool excludes_max = false;
  // Index of the test that comes next, or Condition::kHolds or kFails.
  uint16_t if_true = 0;
  uint16_t if_false = 0;
  std::string_view attribute;  // where field is kAttribute
  union {
    std::span<const uint64_t> short_texts;    // packed (PackShortText)
    std::span<const std::string_view> texts;  // kIsOneOf; kHasPrefix: sorted, none of them begins with another
    const TextTable* table;
    const re2::RE2* regex;
    NumberTest number;
    VersionTest version;
    TimeTest time;
    WeeklyTest weekly;
  };

  Test() : texts() {}
};

struct Condition {
  static constexpr uint16_t kHolds = 0xFFFF;
  static constexpr uint16_t kFails = 0xFFFE;

  std::span<const Test> tests;
  uint16_t first = kHolds;
  // What it was made from.
  const v1::Condition* proto = nullptr;
};

// Sets bits of Note (decide.h) in `notes`. Allocation-free; of regular expressions see docs/decisions/0007.
bool Holds(const Condition& condition, const RequestContext& context, uint32_t& notes);

// Compiles conditions, and keeps what several of them have in common (regular expressions, tables of many texts) once,
// in memory of its own. Conditions need it for as long as they live. For one thread.
class ConditionCompiler {
 public:
  explicit ConditionCompiler(std::pmr::memory_resource& shared_memory);
  ~ConditionCompiler();

  // A condition in `memory`; nullptr: it always holds. `proto` must outlive it. INVALID_ARGUMENT says what is wrong:
  // too deep, too many tests, no texts, an unreadable version, a regular expression that RE2 does not take, ...
  absl::StatusOr<const Condition*> Compile(const v1::Condition& proto, std::pmr::memory_resource& memory);

  // The same in the shared memory, once for all that say the same: authors write a condition once and refer to it from
  // many rules, and what many requests meet stays in the caches. `proto` is then that of the first.
  absl::StatusOr<const Condition*> CompileShared(const v1::Condition& proto);
  // Frees what only CompileShared needs.
  void ForgetShared() { shared_ = {}; }

 private:
  struct Emitter;

  std::pmr::memory_resource& shared_memory_;
  StringMap<std::unique_ptr<const re2::RE2>> regexes_;
  // By the serialised message, which has no maps: equal conditions have equal bytes.
  StringMap<const Condition*> shared_;
  // By the set that they were made from.
  absl::flat_hash_map<const v1::Texts*, const TextTable*> tables_;
};

}  // namespace signalbox::decide
