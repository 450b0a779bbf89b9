// The request context as clients send it: `sb-*` headers.
#pragma once

#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "decide/request_context.h"
#include "proxy/header_list.h"

namespace signalbox::proxy {

inline constexpr size_t kAttributesMax = 64;
// Of all names in `segments`, with the spaces between them: what the decision log has room for.
inline constexpr size_t kSegmentBytesMax = 1024;
// A request takes part in at most as many experiments.
inline constexpr size_t kOverrideCellsMax = 16;

// The parsed context; its views point into the header list it was read from, and into itself.
struct ContextHeaders {
  decide::RequestContext context;
  std::array<decide::Attribute, kAttributesMax> attributes;
  std::array<decide::CellName, kOverrideCellsMax> override_cells;
  std::array<char, kSegmentBytesMax> segments;
};

// Fills `out` from the headers. Each may be there once. `sb-context` and `sb-override` are RFC 8941 dictionaries
// (header_dictionary.h):
//
//   sb-context: country=US, device=tv, app-version="4.2.1", segments=("kids" "premium"), plan=basic
//   sb-override: model="ranker@3", cells="12345=2;777=1"
//
// INVALID_ARGUMENT names the header, what was found, where, and what was expected. Allocation-free when all is well.
absl::Status ReadContext(const HeaderList& headers, ContextHeaders& out);

}  // namespace signalbox::proxy
