// The fields of a request context by name, as conditions and units refer to them.
#pragma once

#include <cstdint>
#include <string_view>

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

// Empty when the request does not have it. `name` counts for attributes only.
inline std::string_view ValueOf(const RequestContext& context, FieldId id, std::string_view name) {
  switch (id) {
    case FieldId::kUser:
      return context.user;
    case FieldId::kCountry:
      return context.country;
    case FieldId::kLocale:
      return context.locale;
    case FieldId::kDevice:
      return context.device;
    case FieldId::kSurface:
      return context.surface;
    case FieldId::kTenant:
      return context.tenant;
    case FieldId::kTrafficType:
      return Name(context.traffic_type);
    case FieldId::kAppVersion:
      return context.app_version;
    case FieldId::kSegments:
      return context.segments;
    case FieldId::kAttribute:
      for (const Attribute& attribute : context.attributes) {
        if (attribute.key == name) return attribute.value;
      }
  }
  return {};
}

inline std::string_view ValueOf(const RequestContext& context, const Field& field) {
  return ValueOf(context, field.id, field.name);
}

}  // namespace signalbox::decide
