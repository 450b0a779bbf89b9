// What a rule file finds in its global scope: the language, `Objectives` and `constants`. Nothing that could tell one
// machine, moment or run from another.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rules/rule_value.h"
#include "rules/source_lines.h"

struct JSContext;
class JSObject;

namespace signalbox::rules {

// What a file is run with; outlives its global object.
struct FileScope {
  std::string path;
  SourceLines lines;
};

// The names in `constants`; each has its own name as value. The same list stands in api/rules.d.ts.
std::span<const std::string_view> Constants();

// A new global object, to be rooted by the caller. nullptr with an exception pending, or when stopped.
JSObject* NewFileGlobal(JSContext* context, const FileScope& scope);

// Whether `object` is an `Objectives.Name`; if so, fills `name`. A wrong name is not refused here.
bool ReadObjectiveName(JSContext* context, JSObject* object, ObjectiveName& name);

}  // namespace signalbox::rules
