#include "rules/value_copy.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "rules/condition_value.h"
#include "rules/globals.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

// Rules are five levels deep, and conditions three levels for each of theirs.
constexpr int kDepthMax = 64;
// A static answer is the longest text: 64 KiB, in base64.
constexpr size_t kTextUnitsMax = 87'384;
constexpr size_t kPathBytesMax = 120;
constexpr uint32_t kItemsMax = 100'000;

// Who reads the rule has lower limits than this file. Where they are known by the key, they are the ones to tell.
constexpr std::pair<std::string_view, size_t> kLimitOfKey[] = {
    {"forcedCells", 10'000}, {"targetObjectives", 1'000}, {"parameters", 1'000}, {"cellParameters", 1'000},
    {"cellToModel", 1'000},  {"cellWeights", 1'000},      {"models", 100},       {"tenants", 1'000},
    {"users", 1'000},        {"fallbackModels", 8},       {"members", 16},       {"layers", 100}};

class Copier {
 public:
  Copier(JSContext* context, CopyBudget& budget) : context_(context), budget_(budget) {}

  // Throws what was refused, and where in the value.
  bool CopyAll(JS::HandleValue value, RuleValue& copy) {
    if (Copy(value, 0, copy)) return true;
    if (refused_.empty()) return false;
    if (refused_size_ > 0) refused_ += SizeText();
    JS_ReportErrorUTF8(context_, "%s%s%s", path_.c_str(), path_.empty() ? "" : ": ", refused_.c_str());
    return false;
  }

 private:
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

  bool Refuse(std::string what) {
    refused_ = std::move(what);
    return false;
  }

  bool RefuseAll(std::string what) {
    budget_.is_spent = true;
    return Refuse(std::move(what));
  }

  // What was refused is in `part` of the value. Only the last parts are worth showing.
  bool RefusedIn(const std::string& part) {
    // Something else threw, or there are so many parts that none of them is the place.
    if (refused_.empty() || is_too_deep_) return false;
    if (path_.size() < kPathBytesMax) path_ = path_.empty() || path_.front() == '[' ? part + path_ : part + "." + path_;
    return false;
  }

  // `what`: "keys". How many it may have is said when the place is known.
  bool RefuseSize(size_t size, const char* what, const char* in) {
    refused_size_ = size;
    return Refuse(fmt::format("{} of {} {}", in, size, what));
  }

  std::string SizeText() const {
    const size_t last_dot = path_.rfind('.');
    const std::string_view key = std::string_view(path_).substr(last_dot == std::string::npos ? 0 : last_dot + 1);
    for (const auto& [name, max] : kLimitOfKey) {
      if (key == name) return fmt::format(", expected at most {}; take some out", max);
    }
    return fmt::format(", expected at most {}, and fewer in most places (api/rules.d.ts has each)", kItemsMax);
  }

  bool CopyText(JS::HandleString text, std::string& copy) {
    const size_t units = JS::GetStringLength(text);
    if (units > kTextUnitsMax)
      return Refuse(fmt::format("a text of {} characters, expected at most {}", units, kTextUnitsMax));
    if (units > budget_.text_bytes) return RefuseAll("more than 16 MiB of text in one rule set");
    budget_.text_bytes -= units;
    JSLinearString* linear = JS_EnsureLinearString(context_, text);
    if (linear == nullptr) return false;
    if (HoldsLoneSurrogate(linear))
      return Refuse("a text with half of a character (a lone surrogate), expected whole ones");
    copy.resize(JS::GetDeflatedUTF8StringLength(linear));
    JS::DeflateStringToUTF8Buffer(linear, mozilla::Span<char>(copy.data(), copy.size()));
    return true;
  }

  static bool HoldsLoneSurrogate(JSLinearString* text) {
    if (JS::LinearStringHasLatin1Chars(text)) return false;
    const JS::AutoCheckCannotGC no_gc;
    const char16_t* units = JS::GetTwoByteLinearStringChars(no_gc, text);
    const size_t length = JS::GetLinearStringLength(text);
    for (size_t i = 0; i < length; ++i) {
      if (units[i] < 0xD800 || units[i] > 0xDFFF) continue;
      const bool is_pair = units[i] < 0xDC00 && i + 1 < length && units[i + 1] >= 0xDC00 && units[i + 1] <= 0xDFFF;
      if (!is_pair) return true;
      ++i;
    }
    return false;
  }

  bool CopyObject(JS::HandleObject object, int depth, RuleValue& copy) {
    if (depth == kDepthMax) {
      is_too_deep_ = true;
      return Refuse("a value is nested more than 64 levels deep (does it contain itself?)");
    }
    if (ObjectiveName name; ReadObjectiveName(context_, object, name)) {
      copy.data = std::move(name);
      return true;
    }
    if (JS::RootedObject data(context_, ConditionData(object)); data != nullptr) {
      return CopyProperties(data, depth, copy.data.emplace<RuleValue::Object>());
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
    if (length > kItemsMax) return RefuseSize(length, "items", "an array");
    JS::RootedValue item(context_);
    for (uint32_t i = 0; i < length; ++i) {
      if (!JS_GetElement(context_, array, i, &item)) return false;
      if (!Copy(item, depth + 1, copy.emplace_back())) return RefusedIn(fmt::format("[{}]", i));
    }
    return true;
  }

  bool CopyProperties(JS::HandleObject object, int depth, RuleValue::Object& copy) {
    JS::Rooted<JS::IdVector> ids(context_, JS::IdVector(context_));
    if (!JS_Enumerate(context_, object, &ids)) return false;
    if (ids.length() > kItemsMax) return RefuseSize(ids.length(), "keys", "an object");
    JS::RootedId id(context_);
    JS::RootedValue key(context_);
    JS::RootedValue value(context_);
    for (size_t i = 0; i < ids.length(); ++i) {
      id = ids[i];
      if (!JS_IdToValue(context_, id, &key)) return false;
      JS::RootedString key_text(context_, JS::ToString(context_, key));
      auto& [name, property] = copy.emplace_back();
      if (key_text == nullptr || !CopyText(key_text, name)) return RefusedIn("a key");
      if (!JS_GetPropertyById(context_, object, id, &value)) return false;
      if (!Copy(value, depth + 1, property)) return RefusedIn(name);
    }
    return true;
  }

  JSContext* context_;
  CopyBudget& budget_;
  bool is_too_deep_ = false;
  std::string refused_;
  size_t refused_size_ = 0;  // above 0: because of it
  std::string path_;
};

}  // namespace

std::optional<RuleValue> CopyValue(JSContext* context, JS::HandleValue value, CopyBudget& budget) {
  RuleValue copy;
  if (!Copier(context, budget).CopyAll(value, copy)) return std::nullopt;
  return copy;
}

}  // namespace signalbox::rules
