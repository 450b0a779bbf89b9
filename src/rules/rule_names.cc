#include "rules/rule_names.h"

#include <algorithm>

#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

constexpr std::string_view kPrefix = "define";

}  // namespace

bool IsRuleName(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  if (!name.ends_with("Rule") && !name.ends_with("Rules")) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
  });
}

std::vector<std::string> NamesThatDefine(JSContext* context, JS::HandleObject object) {
  std::vector<std::string> names;
  JS::Rooted<JS::IdVector> ids(context, JS::IdVector(context));
  bool could_read = JS_Enumerate(context, object, &ids);
  for (size_t i = 0; could_read && i < ids.length(); ++i) {
    if (!ids[i].isString()) continue;
    JS::RootedString key(context, ids[i].toString());
    JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, key);
    could_read = utf8 != nullptr;
    if (could_read && std::string_view(utf8.get()).starts_with(kPrefix)) names.emplace_back(utf8.get());
  }
  return names;
}

}  // namespace signalbox::rules
