#include "rules/condition_value.h"

namespace signalbox::rules {
namespace {

enum Slot { kDataSlot, kTestsSlot, kTextsSlot, kLevelsSlot, kSlots };
const JSClass kConditionClass = {"Condition", JSCLASS_HAS_RESERVED_SLOTS(kSlots), nullptr, nullptr, nullptr, nullptr};

JS::Value Number(size_t number) { return JS::NumberValue(static_cast<double>(number)); }

size_t NumberIn(JSObject* condition, Slot slot) {
  return static_cast<size_t>(JS::GetReservedSlot(condition, slot).toNumber());
}

}  // namespace

JSObject* NewConditionValue(JSContext* context, JS::HandleObject methods, JS::HandleObject data,
                            const ConditionSize& size) {
  JS::RootedObject condition(context, JS_NewObjectWithGivenProto(context, &kConditionClass, methods));
  if (condition == nullptr || !JS_DeepFreezeObject(context, data)) return nullptr;
  JS_SetReservedSlot(condition, kDataSlot, JS::ObjectValue(*data));
  JS_SetReservedSlot(condition, kTestsSlot, Number(size.tests));
  JS_SetReservedSlot(condition, kTextsSlot, Number(size.texts));
  JS_SetReservedSlot(condition, kLevelsSlot, Number(size.levels));
  return JS_FreezeObject(context, condition) ? condition.get() : nullptr;
}

JSObject* ConditionData(JSObject* object) {
  if (JS::GetClass(object) != &kConditionClass) return nullptr;
  const JS::Value data = JS::GetReservedSlot(object, kDataSlot);
  return data.isObject() ? &data.toObject() : nullptr;
}

ConditionSize SizeOfCondition(JSObject* condition) {
  return {.tests = NumberIn(condition, kTestsSlot),
          .texts = NumberIn(condition, kTextsSlot),
          .levels = NumberIn(condition, kLevelsSlot)};
}

}  // namespace signalbox::rules
