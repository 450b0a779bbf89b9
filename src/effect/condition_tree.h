// A condition with all that it is made of.
#pragma once

#include "signalbox/v1/condition.pb.h"

namespace signalbox::effect {

template <typename Callback>
void ForEachCondition(const v1::Condition& condition, const Callback& callback) {
  callback(condition);
  for (const v1::Condition& each : condition.all().conditions()) ForEachCondition(each, callback);
  for (const v1::Condition& each : condition.any().conditions()) ForEachCondition(each, callback);
  if (condition.has_not_()) ForEachCondition(condition.not_(), callback);
}

}  // namespace signalbox::effect
