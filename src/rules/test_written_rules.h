// Rules as their authors would have written them: the way back from the message, for tests.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

// Writes one rule at a time as an object literal on one line. Names and texts must need no escapes.
class RuleWriter {
 public:
  // Of a rule set of one rule.
  std::string Write(const v1::RuleSet& rules) {
    text_ = "{";
    for (const auto& rule : rules.objectives()) Add(rule);
    for (const auto& rule : rules.experiments()) Add(rule);
    for (const auto& rule : rules.traffic_shifts()) Add(rule);
    for (const auto& rule : rules.context_rules()) Add(rule);
    for (const auto& rule : rules.layers()) Add(rule);
    for (const auto& rule : rules.holdouts()) Add(rule);
    for (const auto& rule : rules.shadows()) Add(rule);
    for (const auto& rule : rules.ensembles()) Add(rule);
    for (const auto& rule : rules.overrides()) Add(rule);
    for (const auto& rule : rules.policies()) Add(rule);
    return text_ + "}";
  }

  static std::string Condition(const v1::Condition& condition) {
    switch (condition.test_case()) {
      case v1::Condition::kAll:
        return "when.all(" + List(condition.all().conditions(), Condition) + ")";
      case v1::Condition::kAny:
        return "when.any(" + List(condition.any().conditions(), Condition) + ")";
      case v1::Condition::kNot:
        return Condition(condition.not_()) + ".not()";
      case v1::Condition::kField:
        return FieldTest(condition.field());
      case v1::Condition::kTime:
        return Time(condition.time());
      default:
        return Weekly(condition.weekly());
    }
  }

 private:
  template <typename Items, typename ToText>
  static std::string List(const Items& items, ToText to_text) {
    std::string list;
    for (const auto& item : items) list += (list.empty() ? "" : ", ") + to_text(item);
    return list;
  }
  static std::string Quoted(const std::string& text) { return "'" + text + "'"; }
  template <typename Texts>
  static std::string TextList(const Texts& texts) {
    return "[" + List(texts, Quoted) + "]";
  }

  static std::string Model(const v1::ModelRef& ref) {
    if (!ref.ensemble().empty()) return fmt::format("{{ensemble: '{}'}}", ref.ensemble());
    return fmt::format("{{name: '{}'{}}}", ref.name(),
                       ref.version().empty() ? "" : fmt::format(", version: '{}'", ref.version()));
  }
  static std::string Objective(const std::string& name) { return "Objectives." + name; }
  static std::string Percentage(uint32_t ppm) { return fmt::format("{}", ppm / 1e4); }
  static std::string Moment(int64_t unix_ms) { return Quoted(Rfc3339(unix_ms)); }

  static std::string Field(const std::string& name) {
    if (name == "app_version") return "when.appVersion";
    if (name == "traffic_type") return "when.trafficType";
    for (const char* own : {"user", "country", "locale", "device", "surface", "tenant", "segments"}) {
      if (name == own) return "when." + name;
    }
    return fmt::format("when.attribute('{}')", name);
  }

  static std::string FieldTest(const v1::FieldTest& test) {
    const std::string field = Field(test.field());
    switch (test.test_case()) {
      case v1::FieldTest::kIn:
        return fmt::format("{}.{}({})", field, test.field() == "segments" ? "hasAny" : "in",
                           TextList(test.in().texts()));
      case v1::FieldTest::kPrefix:
        return fmt::format("{}.startsWith({})", field, TextList(test.prefix().texts()));
      case v1::FieldTest::kRegex:
        return fmt::format("{}.matches('{}')", field, test.regex());
      case v1::FieldTest::kNumber:
        return fmt::format("{}.atMost({})", field, test.number().max());
      case v1::FieldTest::kVersion:
        return fmt::format("{}.{}('{}')", field, test.version().excludes_min() ? "above" : "atLeast",
                           test.version().min());
      default:
        return field + ".exists()";
    }
  }

  static std::string Time(const v1::TimeWindow& window) {
    if (window.to_unix_ms() == 0) return fmt::format("when.time.from({})", Moment(window.from_unix_ms()));
    return fmt::format("when.time.between({}, {})", Moment(window.from_unix_ms()), Moment(window.to_unix_ms()));
  }

  static std::string Weekly(const v1::WeeklyWindow& window) {
    constexpr const char* kDays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const std::string days = List(window.days(), [&](int32_t day) { return Quoted(kDays[day - 1]); });
    return fmt::format("when.time.weekly({{days: [{}], from: '{:02}:{:02}', to: '{:02}:{:02}'}})", days,
                       window.from_minute() / 60, window.from_minute() % 60, window.to_minute() / 60,
                       window.to_minute() % 60);
  }

  void Key(std::string_view key, const std::string& value) {
    fmt::format_to(std::back_inserter(text_), "{}{}: {}", text_ == "{" ? "" : ", ", key, value);
  }
  template <typename Rule>
  void Targets(const Rule& rule) {
    Key("targetObjectives", "[" + List(rule.objectives(), Objective) + "]");
  }
  template <typename Rule>
  void When(const Rule& rule) {
    if (rule.has_condition()) Key("when", Condition(rule.condition()));
  }
  template <typename Rule>
  void SeedAndUnit(const Rule& rule) {
    if (!rule.seed().empty()) Key("seed", Quoted(rule.seed()));
    if (!rule.unit().empty()) Key("unit", TextList(rule.unit()));
  }
  template <typename Map>
  static std::string Object(const Map& map) {
    return "{" + List(map, [](const auto& each) { return fmt::format("'{}': '{}'", each.first, each.second); }) + "}";
  }
  template <typename Rule>
  void Parameters(const Rule& rule) {
    if (!rule.parameters().empty()) Key("parameters", Object(rule.parameters()));
  }
  template <typename Rule>
  void Fallbacks(const Rule& rule) {
    if (!rule.fallback_models().empty()) Key("fallbackModels", "[" + List(rule.fallback_models(), Model) + "]");
    if (rule.has_static_answer())
      Key("staticAnswer", fmt::format("{{base64: '{}'}}", absl::Base64Escape(rule.static_answer().message())));
  }

  void Add(const v1::Objective& rule) {
    Key("objective", Objective(rule.name()));
    Key("defaultModel", Model(rule.default_model()));
    Fallbacks(rule);
    Parameters(rule);
    if (!rule.policy().empty()) Key("policy", Quoted(rule.policy()));
  }

  void Add(const v1::Experiment& rule) {
    Key("abTestId", Quoted(rule.id()));
    Targets(rule);
    AddCells(rule);
    Key("allocationPercentage", Percentage(rule.allocation_ppm()));
    Key("priority", std::to_string(rule.priority()));
    SeedAndUnit(rule);
    When(rule);
    if (!rule.layer().empty()) {
      Key("layer", Quoted(rule.layer()));
      Key("layerRange", fmt::format("[{}, {}]", Percentage(rule.layer_begin_ppm()), Percentage(rule.layer_end_ppm())));
    }
    if (rule.start_unix_ms() != 0) Key("start", Moment(rule.start_unix_ms()));
    if (rule.end_unix_ms() != 0) Key("end", Moment(rule.end_unix_ms()));
    if (rule.hash_version() != 0) Key("hashVersion", std::to_string(rule.hash_version()));
    if (!rule.forced_cells().empty()) Key("forcedCells", Object(rule.forced_cells()));
    if (!rule.has_remote()) return;
    const std::string fallback = rule.remote().fallback() == v1::RemoteAllocation::HASH      ? "'hash'"
                                 : rule.remote().fallback() == v1::RemoteAllocation::NO_PART ? "'none'"
                                                                                             : "{cell: '1'}";
    Key("remoteAllocation",
        fmt::format("{{platform: '{}', ttlSeconds: {}, deadlineMs: {}, fallback: {}}}", rule.remote().platform(),
                    rule.remote().ttl_ms() / 1000, rule.remote().deadline_ms(), fallback));
  }

  void AddCells(const v1::Experiment& rule) {
    std::string models, parameters, weights;
    for (const v1::Cell& cell : rule.cells()) {
      if (cell.has_model()) models += fmt::format("'{}': {}, ", cell.name(), Model(cell.model()));
      if (!cell.has_model() || !cell.parameters().empty())
        parameters += fmt::format("'{}': {}, ", cell.name(), Object(cell.parameters()));
      weights += fmt::format("'{}': {}, ", cell.name(), cell.weight_ppm() / 1e6);
    }
    Key("cellWeights", "{" + weights + "}");
    if (!models.empty()) Key("cellToModel", "{" + models + "}");
    if (!parameters.empty()) Key("cellParameters", "{" + parameters + "}");
  }

  void Add(const v1::TrafficShift& rule) {
    Key("trafficShiftId", Quoted(rule.id()));
    Targets(rule);
    if (rule.has_from()) Key("fromModel", Model(rule.from()));
    Key("toModel", Model(rule.to()));
    SeedAndUnit(rule);
    When(rule);
    if (!rule.has_schedule()) return Key("percentage", Percentage(rule.share_ppm()));
    std::string steps;
    for (const v1::RampStep& step : rule.schedule().steps()) {
      const bool is_last = &step == &*rule.schedule().steps().rbegin();
      steps += fmt::format("{{percentage: {}{}}}, ", Percentage(step.share_ppm()),
                           is_last ? "" : fmt::format(", hold: '{}s'", step.hold_ms() / 1000));
    }
    Key("schedule", fmt::format("{{start: {}, steps: [{}]}}", Moment(rule.schedule().start_unix_ms()), steps));
  }

  void Add(const v1::ContextRule& rule) {
    Key("contextRuleId", Quoted(rule.id()));
    Targets(rule);
    When(rule);
    if (rule.has_model()) Key("model", Model(rule.model()));
    if (!rule.policy().empty()) Key("policy", Quoted(rule.policy()));
    Parameters(rule);
  }

  void Add(const v1::Layer& rule) {
    Key("layerId", Quoted(rule.id()));
    SeedAndUnit(rule);
    if (rule.hash_version() != 0) Key("hashVersion", std::to_string(rule.hash_version()));
  }

  void Add(const v1::Holdout& rule) {
    Key("holdoutId", Quoted(rule.id()));
    Key("percentage", Percentage(rule.share_ppm()));
    SeedAndUnit(rule);
    if (!rule.layers().empty()) Key("layers", TextList(rule.layers()));
    When(rule);
  }

  void Add(const v1::Shadow& rule) {
    Key("shadowId", Quoted(rule.id()));
    Targets(rule);
    Key("model", Model(rule.model()));
    Key("sampleRate", Percentage(rule.share_ppm()));
    When(rule);
    if (rule.comparison().has_rank())
      Key("compare", fmt::format("{{rankCorrelation: {}}}", rule.comparison().rank().min()));
  }

  void Add(const v1::Ensemble& rule) {
    constexpr const char* kModes[] = {"", "first", "mean", "weighted", "all"};
    Key("ensembleId", Quoted(rule.name()));
    Key("mode", Quoted(kModes[rule.mode()]));
    Key("members", "[" + List(rule.members(), [](const v1::EnsembleMember& member) {
                     const std::string model = Model(member.model());
                     if (member.weight() == 0) return model;
                     return fmt::format("{}, weight: {}}}", model.substr(0, model.size() - 1), member.weight());
                   }) + "]");
    if (rule.min_members() != 0) Key("minimumMembers", std::to_string(rule.min_members()));
  }

  void Add(const v1::Override& rule) {
    Key("overrideId", Quoted(rule.id()));
    Targets(rule);
    Key("callers", fmt::format("{{tenants: {}, users: {}}}", TextList(rule.tenants()), TextList(rule.users())));
    if (!rule.models().empty()) Key("models", "[" + List(rule.models(), Model) + "]");
  }

  void Add(const v1::Policy& rule) {
    Key("policyId", Quoted(rule.name()));
    Key("limits", fmt::format("{{burst: {}}}", rule.limits().burst()));
    Fallbacks(rule);
  }

  std::string text_;
};

}  // namespace signalbox::rules
