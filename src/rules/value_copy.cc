#include "rules/value_copy.h"

#include "rules/globals.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

// Rules are five levels deep, and conditions three levels for each of theirs.
constexpr int kDepthMax = 64;
// Parameters are the longest texts; all of a model's together have to fit into 4 KiB.
constexpr size_t kTextUnitsMax = 64 << 10;
constexpr uint32_t kItemsMax = 100'000;

class Copier {
 public:
  Copier(JSContext* context, CopyBudget& budget) : context_(context), budget_(budget) {}

  bool Copy(JS::HandleValue value, int depth, RuleValue& copy) {
    if (budget_.values == 0) return RefuseAll("more than 500000 values in one rule set");
    --budget_.values;
    if (value.isBoolean()) {
      copy.data = value.toBoolean();
    } else if (value.isNumber()) {
      copy.data = value.toNumber();
    } else if (value.isString()) {
      JS::RootedString text(context_, value.toString());
      return CopyText(text, copy.data.emplace<std::string>());
    } else if (value.isSymbol()) {
      copy.data = Unusable{"a Symbol"};
    } else if (value.isBigInt()) {
      copy.data = Unusable{"a BigInt"};
    } else if (value.isObject()) {
      JS::RootedObject object(context_, &value.toObject());
      return CopyObject(object, depth, copy);
    }
    return true;
  }

 private:
  bool Refuse(const char* what) {
    JS_ReportErrorUTF8(context_, "%s", what);
    return false;
  }

  bool RefuseAll(const char* what) {
    budget_.is_spent = true;
    return Refuse(what);
  }

  bool CopyText(JS::HandleString text, std::string& copy) {
    const size_t units = JS::GetStringLength(text);
    if (units > kTextUnitsMax) return Refuse("a text of more than 65536 characters in a rule");
    if (units > budget_.text_bytes) return RefuseAll("more than 16 MiB of text in one rule set");
    budget_.text_bytes -= units;
    JSLinearString* linear = JS_EnsureLinearString(context_, text);
    if (linear == nullptr) return false;
    copy.resize(JS::GetDeflatedUTF8StringLength(linear));
    JS::DeflateStringToUTF8Buffer(linear, mozilla::Span<char>(copy.data(), copy.size()));
    return true;
  }

  bool CopyObject(JS::HandleObject object, int depth, RuleValue& copy) {
    if (depth == kDepthMax) return Refuse("a value is nested more than 64 levels deep (does it contain itself?)");
    if (ObjectiveName name; ReadObjectiveName(context_, object, name)) {
      copy.data = std::move(name);
      return true;
    }
    bool is_array = false;
    if (!JS::IsArrayObject(context_, object, &is_array)) return false;
    if (is_array) return CopyArray(object, depth, copy.data.emplace<RuleValue::Array>());
    js::ESClass kind = js::ESClass::Other;
    if (!JS::GetBuiltinClass(context_, object, &kind)) return false;
    if (const char* what = InWords(object, kind)) {
      copy.data = Unusable{what};
      return true;
    }
    return CopyProperties(object, depth, copy.data.emplace<RuleValue::Object>());
  }

  // nullptr for an object whose properties are what it is about.
  static const char* InWords(JSObject* object, js::ESClass kind) {
    if (JS::IsCallable(object)) return "a function";
    switch (kind) {
      case js::ESClass::Promise:
        return "a Promise (an async function cannot be a rule: nothing is awaited here)";
      case js::ESClass::Map:
      case js::ESClass::MapIterator:
        return "a Map";
      case js::ESClass::Set:
      case js::ESClass::SetIterator:
        return "a Set";
      case js::ESClass::RegExp:
        return "a RegExp";
      case js::ESClass::Error:
        return "an Error";
      case js::ESClass::Number:
        return "a Number object";
      case js::ESClass::String:
        return "a String object";
      case js::ESClass::Boolean:
        return "a Boolean object";
      case js::ESClass::BigInt:
        return "a BigInt";
      default:
        return nullptr;
    }
  }

  bool CopyArray(JS::HandleObject array, int depth, RuleValue::Array& copy) {
    uint32_t length = 0;
    if (!JS::GetArrayLength(context_, array, &length)) return false;
    if (length > kItemsMax) return Refuse("an array of more than 100000 items");
    JS::RootedValue item(context_);
    for (uint32_t i = 0; i < length; ++i) {
      if (!JS_GetElement(context_, array, i, &item) || !Copy(item, depth + 1, copy.emplace_back())) return false;
    }
    return true;
  }

  bool CopyProperties(JS::HandleObject object, int depth, RuleValue::Object& copy) {
    JS::Rooted<JS::IdVector> ids(context_, JS::IdVector(context_));
    if (!JS_Enumerate(context_, object, &ids)) return false;
    if (ids.length() > kItemsMax) return Refuse("an object of more than 100000 properties");
    JS::RootedId id(context_);
    JS::RootedValue key(context_);
    JS::RootedValue value(context_);
    for (size_t i = 0; i < ids.length(); ++i) {
      id = ids[i];
      if (!JS_IdToValue(context_, id, &key)) return false;
      JS::RootedString key_text(context_, JS::ToString(context_, key));
      auto& [name, property] = copy.emplace_back();
      if (key_text == nullptr || !CopyText(key_text, name)) return false;
      if (!JS_GetPropertyById(context_, object, id, &value) || !Copy(value, depth + 1, property)) return false;
    }
    return true;
  }

  JSContext* context_;
  CopyBudget& budget_;
};

}  // namespace

std::optional<RuleValue> CopyValue(JSContext* context, JS::HandleValue value, CopyBudget& budget) {
  RuleValue copy;
  if (!Copier(context, budget).Copy(value, 0, copy)) return std::nullopt;
  return copy;
}

}  // namespace signalbox::rules
