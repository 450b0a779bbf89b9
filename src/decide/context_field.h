// The fields of a request context by name, as conditions and units refer to them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/same_text.h"
#include "decide/request_context.h"

namespace signalbox::decide {

enum class FieldId : uint8_t {
  kUser,
  kCountry,
  kLocale,
  kDevice,
  kSurface,
  kTenant,
  kTrafficType,
  kAppVersion,
  kSegments,
  kAttribute  // a free one, by name
};

// Names as in FieldTest.field: every name that is none of the others' is an attribute.
FieldId ParseField(std::string_view name);

struct Field {
  FieldId id = FieldId::kUser;
  std::string_view name;
};

// Those of the request that are kept as text, by FieldId. A table, because which field a test asks for changes from
// test to test, and a switch would be guessed wrong.
inline constexpr std::array<std::string_view RequestContext::*, 9> kTextFields = {
    &RequestContext::user,          &RequestContext::country,     &RequestContext::locale,
    &RequestContext::device,        &RequestContext::surface,     &RequestContext::tenant,
    nullptr /* the traffic type */, &RequestContext::app_version, &RequestContext::segments};

// Empty when the request does not have it. `name` counts for attributes only.
inline std::string_view ValueOf(const RequestContext& context, FieldId id, std::string_view name) {
  if (id == FieldId::kAttribute) {
    for (const Attribute& attribute : context.attributes) {
      if (SameText(attribute.key, name)) return attribute.value;
    }
    return {};
  }
  if (id == FieldId::kTrafficType) return Name(context.traffic_type);
  return context.*kTextFields[static_cast<size_t>(id)];
}

inline std::string_view ValueOf(const RequestContext& context, const Field& field) {
  return ValueOf(context, field.id, field.name);
}

}  // namespace signalbox::decide
