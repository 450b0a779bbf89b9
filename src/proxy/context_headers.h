// The request context as clients send it: `sb-*` headers.
#pragma once

#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "decide/request_context.h"
#include "proxy/header_list.h"

namespace signalbox::proxy {

inline constexpr size_t kAttributesMax = 64;

// The parsed context; its views point into the header list it was read from, and into itself.
struct ContextHeaders {
  decide::RequestContext context;
  std::array<decide::Attribute, kAttributesMax> attributes;
};

// Fills `out` from the headers. Each may be there once. `sb-context` is an RFC 8941 dictionary whose members are
// tokens, strings, integers, decimals or booleans; parameters of members are not used and refused. INVALID_ARGUMENT
// names the header, what was found, where, and what was expected. Allocation-free when all is well.
absl::Status ReadContext(const HeaderList& headers, ContextHeaders& out);

}  // namespace signalbox::proxy
