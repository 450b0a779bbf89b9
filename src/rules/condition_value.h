// Conditions as scripts hold them: objects whose data no name and no prototype can stand in front of.
#pragma once

#include <cstddef>

#include "rules/condition_reader.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {

// A frozen object with the methods of `methods`. `data` has the shape of condition.proto; it is frozen with all that is
// in it. Nullptr: an exception is pending.
JSObject* NewConditionValue(JSContext* context, JS::HandleObject methods, JS::HandleObject data,
                            const ConditionSize& size);

// Nullptr for every other object.
JSObject* ConditionData(JSObject* object);

// Of a condition.
ConditionSize SizeOfCondition(JSObject* condition);

}  // namespace signalbox::rules
