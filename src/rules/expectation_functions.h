// `test`, `expect` and `distribution`: what a file of tests finds in its global scope beside what rules find.
#pragma once

#include <string>
#include <vector>

#include "rules/globals.h"
#include "rules/rule_tests.h"
#include "rules/source_texts.h"
#include "rules/spidermonkey.h"
#include "rules/value_copy.h"

namespace signalbox::rules {

// Remembers what the functions are called with. On the stack, as everything that roots.
class TestRecorder {
 public:
  // `file`: the file of tests, which outlives it.
  TestRecorder(JSContext* context, const SourceTexts& texts, std::string file);

  // Into a new global object, whose scope has this recorder. False with an exception pending.
  static bool DefineFunctions(JSContext* context, JS::HandleObject global);

  // Calls the function of each test, in the current realm. Returns early when the engine was stopped.
  void RunTests();

  std::vector<RuleTest> TakeTests() { return std::move(tests_); }

 private:
  friend struct ExpectationFunctions;
  static constexpr size_t kNone = ~size_t{0};

  void RunTest(size_t index);
  void Problem(const SourcePlace& place, std::string message);
  bool CountOne();

  JSContext* context_;
  const SourceTexts& texts_;
  std::string file_;
  std::vector<RuleTest> tests_;
  JS::RootedVector<JSObject*> functions_;
  size_t current_ = kNone;
  size_t expectations_ = 0;
  uint64_t users_ = 0;
  CopyBudget copied_;
};

}  // namespace signalbox::rules
