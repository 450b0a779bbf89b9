#include "rules/expectation_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "base/printable.h"
#include "rules/engine.h"
#include "rules/expected_context.h"
#include "rules/field_reader.h"
#include "rules/script_error.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using Kind = Expectation::Kind;

constexpr uint32_t kUsersByDefault = 10'000;
constexpr double kToleranceByDefault = 1;
constexpr size_t kNameBytesMax = 200;
constexpr size_t kProblemsMax = 100;  // of one test

struct Method {
  const char* name;
  Kind kind;
  unsigned arguments_min;
  unsigned arguments_max;
  const char* expected;
  bool is_of_distribution;
};
constexpr std::array kMethods = {
    Method{"model", Kind::kModel, 1, 1, "a model: .model('ranker@2')", true},
    Method{"cell", Kind::kCell, 2, 2, "an experiment and a cell: .cell('12345', '2')", true},
    Method{"noCell", Kind::kNoCell, 1, 1, "an experiment: .noCell('12345')", false},
    Method{"reason", Kind::kReason, 1, 1, "why the model was chosen: .reason('experiment')", false},
    Method{"parameter", Kind::kParameter, 2, 2, "a key and a value: .parameter('depth', '80')", false},
    Method{"fallbacks", Kind::kFallbacks, 0, 64, "models, all of them in order: .fallbacks('a', 'b@2')", false},
    Method{"shadow", Kind::kShadow, 1, 1, "a shadow: .shadow('s1')", false},
    Method{"policy", Kind::kPolicy, 1, 1, "a policy: .policy('standard')", false},
    Method{"override", Kind::kOverride, 1, 1, "an override rule: .override('testers')", false},
    Method{"staticAnswer", Kind::kStaticAnswer, 0, 0, "nothing: .staticAnswer()", false},
};
// As the decision names them. A fallback is no decision: it is taken when a model cannot be reached.
constexpr std::array<std::string_view, 5> kReasons = {"default", "experiment", "traffic_shift", "context_rule",
                                                      "override"};

// 'm@2', or {name, version} as in a rule.
bool ReadModel(const RuleValue& value, std::string& text) {
  const auto* object = std::get_if<RuleValue::Object>(&value.data);
  if (object == nullptr) return ReadName(value, text) && !text.empty();
  std::string version;
  for (const RuleProperty& property : *object) {
    if (property.name == "name" && !ReadName(property.value, text)) return false;
    if (property.name == "version" && !ReadName(property.value, version)) return false;
    if (property.name == "ensemble" && ReadName(property.value, text)) text = "ensemble:" + text;
  }
  if (!version.empty()) text += "@" + version;
  return !text.empty();
}

}  // namespace

// The functions themselves, in the engine's form.
struct ExpectationFunctions {
  enum Slot { kTestSlot, kDecisionSlot, kSlots };

  static TestRecorder& Recorder(JSContext* context) { return *ScopeOfCurrentRealm(context).tests; }

  static SourcePlace Here(JSContext* context) {
    const CallerPlace caller = PlaceOfCaller(context);
    if (caller.text == nullptr) return {Recorder(context).file_, 1, 1};
    return {std::string(caller.text->path), caller.place.line, caller.place.column};
  }

  static bool Copy(JSContext* context, const JS::CallArgs& arguments, unsigned index, RuleValue& copy) {
    std::optional<RuleValue> value = CopyValue(context, arguments.get(index), Recorder(context).copied_);
    if (value) copy = *std::move(value);
    return value.has_value();
  }

  static bool Fail(JSContext* context, const std::string& message) {
    JS_ReportErrorUTF8(context, "%s", message.c_str());
    return false;
  }

  // test(name, function)
  static bool Test(JSContext* context, unsigned count, JS::Value* values) {
    const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
    arguments.rval().setUndefined();
    TestRecorder& recorder = Recorder(context);
    if (recorder.current_ != TestRecorder::kNone) return Fail(context, "test() inside of a test; put it behind it");
    if (recorder.tests_.size() == kTestsMax)
      return Fail(context, fmt::format("more than {} tests in one file; split it", kTestsMax));
    RuleValue name;
    if (!Copy(context, arguments, 0, name)) return false;
    const auto* text = std::get_if<std::string>(&name.data);
    if (text == nullptr || text->empty() || text->size() > kNameBytesMax || HoldsControlCharacters(*text)) {
      return Fail(context, fmt::format("test(): expected a name of 1 to {} bytes without control characters, and a "
                                       "function: test('who gets what', () => {{ ... }})",
                                       kNameBytesMax));
    }
    if (!arguments.get(1).isObject() || !JS::IsCallable(&arguments.get(1).toObject()))
      return Fail(context, fmt::format("test \"{}\": expected a function: test('...', () => {{ ... }})", *text));
    recorder.tests_.push_back({*text, Here(context), {}, {}});
    return recorder.functions_.append(&arguments.get(1).toObject());
  }

  // expect(context)
  static bool Expect(JSContext* context, unsigned count, JS::Value* values) {
    const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
    return Begin(context, arguments, "expect", 0);
  }

  // distribution(context, {users})
  static bool Distribution(JSContext* context, unsigned count, JS::Value* values) {
    const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
    return Begin(context, arguments, "distribution", kUsersByDefault);
  }

  static bool Begin(JSContext* context, const JS::CallArgs& arguments, const char* name, uint32_t users) {
    arguments.rval().setUndefined();
    TestRecorder& recorder = Recorder(context);
    if (recorder.current_ == TestRecorder::kNone) {
      return Fail(context, fmt::format("{}() outside of a test; put it into one: test('...', () => {{ {}(...)... }})",
                                       name, name));
    }
    if (!recorder.CountOne()) return false;
    const SourcePlace place = Here(context);
    ExpectedDecision decision{.context = {}, .users = users, .place = place, .expectations = {}};
    RuleValue given;
    RuleValue options;
    if (!Copy(context, arguments, 0, given) || !Copy(context, arguments, 1, options)) return false;
    for (const std::string& problem : ReadTestedContext(given, decision.context))
      recorder.Problem(place, fmt::format("{}: {}", name, problem));
    if (users != 0) ReadDistribution(recorder, options, decision);
    RuleTest& test = recorder.tests_[recorder.current_];
    test.decisions.push_back(std::move(decision));
    return NewObject(context, arguments, recorder.current_, test.decisions.size() - 1);
  }

  static void ReadDistribution(TestRecorder& recorder, const RuleValue& options, ExpectedDecision& decision) {
    if (!decision.context.user.empty())
      recorder.Problem(decision.place, "distribution: the users are generated; leave `user` out, or use expect()");
    std::optional<double> users;
    const std::string problem = ReadOptions(options, {{"users", &users}});
    if (!problem.empty()) return recorder.Problem(decision.place, fmt::format("distribution: {}", problem));
    const double number = users.value_or(kUsersByDefault);
    if (number < 1 || number > kUsersMax || number != std::floor(number)) {
      return recorder.Problem(decision.place,
                              fmt::format("distribution: users: expected a whole number from 1 to {}", kUsersMax));
    }
    decision.users = static_cast<uint32_t>(number);
    recorder.users_ += decision.users;
    if (recorder.users_ <= kUsersTotalMax) return;
    decision.users = 1;
    recorder.Problem(decision.place, fmt::format("distribution: more than {} users in one file, all together; ask for "
                                                 "fewer, or split the file",
                                                 kUsersTotalMax));
  }

  // An object with these keys and numbers. What is wrong, or empty.
  static std::string ReadOptions(const RuleValue& value,
                                 std::initializer_list<std::pair<const char*, std::optional<double>*>> known) {
    if (std::holds_alternative<RuleValue::Nothing>(value.data)) return "";
    std::vector<std::string> names;
    for (const auto& [name, number] : known) names.emplace_back(name);
    const auto* object = std::get_if<RuleValue::Object>(&value.data);
    if (object == nullptr)
      return fmt::format("expected an object with {}, got {}", fmt::join(names, ", "), InWords(value));
    for (const RuleProperty& property : *object) {
      const auto* option =
          std::find_if(known.begin(), known.end(), [&](const auto& each) { return each.first == property.name; });
      if (option == known.end())
        return fmt::format("unknown key \"{}\"{}", property.name, DidYouMean(property.name, names));
      const auto* number = std::get_if<double>(&property.value.data);
      if (number == nullptr)
        return fmt::format("{}: expected a number, got {}", property.name, InWords(property.value));
      *option->second = *number;
    }
    return "";
  }

  static bool NewObject(JSContext* context, const JS::CallArgs& arguments, size_t test, size_t decision);

  // .model(...), .cell(...), ...
  template <size_t kIndex>
  static bool Call(JSContext* context, unsigned count, JS::Value* values) {
    return Chain(context, JS::CallArgsFromVp(count, values), kMethods[kIndex]);
  }
  static bool Chain(JSContext* context, const JS::CallArgs& arguments, const Method& method);

  static bool Resolve(JSContext* context, JS::HandleObject object, JS::HandleId id, bool* resolved);
};

namespace {

constexpr JSClassOps kExpectationOps = {nullptr, nullptr, nullptr, nullptr, ExpectationFunctions::Resolve,
                                        nullptr, nullptr, nullptr, nullptr, nullptr};
const JSClass kExpectationClass = {"Expectation",    JSCLASS_HAS_RESERVED_SLOTS(ExpectationFunctions::kSlots),
                                   &kExpectationOps, nullptr,
                                   nullptr,          nullptr};

template <size_t... kIndexes>
constexpr std::array<JSNative, sizeof...(kIndexes)> Natives(std::index_sequence<kIndexes...>) {
  return {ExpectationFunctions::Call<kIndexes>...};
}
constexpr auto kNatives = Natives(std::make_index_sequence<kMethods.size()>());

}  // namespace

bool ExpectationFunctions::NewObject(JSContext* context, const JS::CallArgs& arguments, size_t test, size_t decision) {
  JS::RootedObject object(context, JS_NewObject(context, &kExpectationClass));
  if (object == nullptr) return false;
  JS_SetReservedSlot(object, kTestSlot, JS::NumberValue(static_cast<uint32_t>(test)));
  JS_SetReservedSlot(object, kDecisionSlot, JS::NumberValue(static_cast<uint32_t>(decision)));
  arguments.rval().setObject(*object);
  return true;
}

// A misspelled expectation must not pass for "not a function" with no word about what there is.
bool ExpectationFunctions::Resolve(JSContext* context, JS::HandleObject object, JS::HandleId id, bool* resolved) {
  *resolved = false;
  if (!id.isString()) return true;
  JS::RootedString key(context, id.toString());
  JS::UniqueChars name = JS_EncodeStringToUTF8(context, key);
  if (name == nullptr) return false;
  std::vector<std::string> known;
  for (size_t i = 0; i < kMethods.size(); ++i) {
    known.emplace_back(kMethods[i].name);
    if (known.back() != name.get()) continue;
    *resolved =
        JS_DefineFunction(context, object, kMethods[i].name, kNatives[i], kMethods[i].arguments_max, 0) != nullptr;
    return *resolved;
  }
  const std::string hint = DidYouMean(name.get(), known);
  return Fail(context, fmt::format("there is no expectation \"{}\"{}", name.get(),
                                   hint.empty() ? fmt::format("; there are {}", fmt::join(known, ", ")) : hint));
}

bool ExpectationFunctions::Chain(JSContext* context, const JS::CallArgs& arguments, const Method& method) {
  if (!arguments.thisv().isObject() || JS::GetClass(&arguments.thisv().toObject()) != &kExpectationClass)
    return Fail(context, fmt::format("{}() is called on something that is no expectation", method.name));
  TestRecorder& recorder = Recorder(context);
  if (recorder.current_ == TestRecorder::kNone)
    return Fail(context, fmt::format("{}() outside of a test", method.name));
  if (!recorder.CountOne()) return false;
  JSObject* object = &arguments.thisv().toObject();
  RuleTest& test = recorder.tests_[static_cast<size_t>(JS::GetReservedSlot(object, kTestSlot).toNumber())];
  ExpectedDecision& decision =
      test.decisions[static_cast<size_t>(JS::GetReservedSlot(object, kDecisionSlot).toNumber())];
  Expectation expectation{.kind = method.kind, .arguments = {}, .place = Here(context)};
  const bool is_distribution = decision.users != 0;
  const auto wrong = [&](const std::string& what) {
    recorder.Problem(expectation.place, fmt::format(".{}(): {}", method.name, what));
  };
  arguments.rval().set(arguments.thisv());

  if (is_distribution && !method.is_of_distribution) {
    wrong("not of a distribution, which has .model() and .cell(); use expect()");
    return true;
  }
  const unsigned shares = is_distribution ? 1 : 0;
  if (arguments.length() < method.arguments_min || arguments.length() > method.arguments_max + shares) {
    wrong(fmt::format("{} argument{}, expected {}", arguments.length(), arguments.length() == 1 ? "" : "s",
                      method.expected));
    return true;
  }
  const unsigned names = std::min(arguments.length(), method.arguments_max);
  for (unsigned i = 0; i < names; ++i) {
    RuleValue value;
    if (!Copy(context, arguments, i, value)) return false;
    std::string& text = expectation.arguments.emplace_back();
    const bool is_model = method.kind == Kind::kModel || method.kind == Kind::kFallbacks;
    const bool is_value = method.kind == Kind::kParameter && i == 1;
    if (is_model ? ReadModel(value, text) : is_value ? ReadTextOf(value, text) : ReadName(value, text)) continue;
    wrong(fmt::format("expected {}, got {}", method.expected, InWords(value)));
    return true;
  }
  if (method.kind == Kind::kReason &&
      std::find(kReasons.begin(), kReasons.end(), expectation.arguments[0]) == kReasons.end()) {
    const std::vector<std::string> known(kReasons.begin(), kReasons.end());
    const std::string hint = DidYouMean(expectation.arguments[0], known);
    wrong(fmt::format("there is no reason \"{}\"{}", expectation.arguments[0],
                      hint.empty() ? fmt::format("; there are {}", fmt::join(known, ", ")) : hint));
    return true;
  }
  if (is_distribution) {
    RuleValue options;
    if (!Copy(context, arguments, names, options)) return false;
    std::optional<double> share;
    std::optional<double> tolerance = kToleranceByDefault;
    std::string problem = ReadOptions(options, {{"share", &share}, {"tolerance", &tolerance}});
    if (problem.empty() && !(share && *share >= 0 && *share <= 100 && *tolerance >= 0 && *tolerance <= 100))
      problem = "expected {share, tolerance} in percent, from 0 to 100, at last: {share: 50, tolerance: 1}";
    if (!problem.empty()) {
      wrong(problem);
      return true;
    }
    expectation.share = *share;
    expectation.tolerance = *tolerance;
  }
  decision.expectations.push_back(std::move(expectation));
  return true;
}

TestRecorder::TestRecorder(JSContext* context, const SourceTexts& texts, std::string file)
    : context_(context), texts_(texts), file_(std::move(file)), functions_(context) {}

bool TestRecorder::DefineFunctions(JSContext* context, JS::HandleObject global) {
  return JS_DefineFunction(context, global, "test", ExpectationFunctions::Test, 2, 0) &&
         JS_DefineFunction(context, global, "expect", ExpectationFunctions::Expect, 1, 0) &&
         JS_DefineFunction(context, global, "distribution", ExpectationFunctions::Distribution, 2, 0);
}

void TestRecorder::RunTests() {
  for (size_t i = 0; i < tests_.size() && !IsStopped(context_); ++i) RunTest(i);
}

void TestRecorder::RunTest(size_t index) {
  RuleTest& test = tests_[index];
  current_ = index;
  JS::RootedValue function(context_, JS::ObjectValue(*functions_[index]));
  JS::RootedValue result(context_);
  if (!JS::Call(context_, JS::UndefinedHandleValue, function, JS::HandleValueArray::empty(), &result)) {
    if (IsStopped(context_)) return;
    const std::optional<ScriptError> error = TakeError(context_, texts_);
    if (error || !ScopeOfCurrentRealm(context_).is_refused)
      ReportError(error, test.place.file, "", {test.place.line, test.place.column}, test.problems);
  } else if (result.isObject()) {
    JS::RootedObject object(context_, &result.toObject());
    if (JS::IsPromiseObject(object)) Problem(test.place, "an async function cannot be a test: nothing is awaited here");
  }
  current_ = kNone;
  if (!test.problems.empty()) return;
  if (test.decisions.empty()) {
    test.problems.push_back({test.place.file, test.place.line, test.place.column,
                             "expects nothing; add expect({objective: '...'}).model('...')"});
  }
  for (const ExpectedDecision& decision : test.decisions) {
    if (!decision.expectations.empty()) continue;
    test.problems.push_back({decision.place.file, decision.place.line, decision.place.column,
                             "expects nothing of this request; add .model('...') or another expectation"});
  }
}

void TestRecorder::Problem(const SourcePlace& place, std::string message) {
  std::vector<Diagnostic>& problems = tests_[current_].problems;
  if (problems.size() < kProblemsMax) problems.push_back({place.file, place.line, place.column, std::move(message)});
}

bool TestRecorder::CountOne() {
  if (++expectations_ <= kExpectationsMax) return true;
  const std::string message =
      fmt::format("more than {} expectations in one file; split it, or use distribution()", kExpectationsMax);
  // Also where the script catches what is thrown: a test that lost some of its expectations has not passed.
  if (expectations_ == kExpectationsMax + 1) Problem(ExpectationFunctions::Here(context_), message);
  JS_ReportErrorUTF8(context_, "%s", message.c_str());
  return false;
}

std::string Text(const Expectation& expectation) {
  const auto* method =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const Method& each) { return each.kind == expectation.kind; });
  std::string arguments;
  for (const std::string& argument : expectation.arguments)
    arguments += fmt::format("{}'{}'", arguments.empty() ? "" : ", ", argument);
  return fmt::format(".{}({})", method->name, arguments);
}

}  // namespace signalbox::rules
