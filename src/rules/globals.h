// What a rule file finds in its global scope: the language, `Objectives`, `constants` and `when`. Nothing that could
// tell one machine, moment or run from another.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule_value.h"
#include "rules/rules.h"

struct JSContext;
class JSObject;

namespace signalbox::rules {

class RuleModules;
class SourceTexts;
class TestRecorder;
struct SourceText;

// What a global object belongs to; outlives it.
struct RealmScope {
  const SourceTexts* texts = nullptr;
  std::vector<Diagnostic>* diagnostics = nullptr;
  const RuleModules* modules = nullptr;  // of the modules' global object only
  TestRecorder* tests = nullptr;         // of a file of tests only
  // The file whose rules are being read, by its index.
  size_t reading = 0;
  // A diagnostic says already why a script was ended.
  bool is_refused = false;
};
// The current global object has one.
RealmScope& ScopeOfCurrentRealm(JSContext* context);

// Where the script that called us stands; no text where that is none of the rule set's files.
struct CallerPlace {
  const SourceText* text = nullptr;
  Place place;
};
CallerPlace PlaceOfCaller(JSContext* context);

// The names in `constants`; each has its own name as value. The same list stands in api/rules.d.ts.
std::span<const std::string_view> Constants();

// A new global object, to be rooted by the caller. nullptr with an exception pending, or when stopped.
JSObject* NewGlobal(JSContext* context, RealmScope& scope);

// Whether `object` is an `Objectives.Name`; if so, fills `name`. A wrong name is not refused here. It has a place when
// it was written in the file whose rules are being read: what reads the rule reports in that file.
bool ReadObjectiveName(JSContext* context, JSObject* object, ObjectiveName& name);

}  // namespace signalbox::rules
