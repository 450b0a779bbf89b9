// The header names of signalbox's contract, in one place. Lower case, as HTTP/2 wants them.
#pragma once

#include <string_view>

namespace signalbox::headers {

// Read from requests.
inline constexpr std::string_view kObjective = "sb-objective";
inline constexpr std::string_view kUser = "sb-user";
// RFC 8941 dictionary: `country=US, device=tv, surface=home, app-version="4.2.1", segments=("kids" "premium")`.
// `country`, `locale`, `device`, `surface`, `app-version` and `segments` are the fields of that name; every other key
// is a free attribute.
inline constexpr std::string_view kContext = "sb-context";
inline constexpr std::string_view kTenant = "sb-tenant";
// `live` (when absent), `synthetic`, `replay` or `shadow`.
inline constexpr std::string_view kTraffic = "sb-traffic";
// RFC 8941 dictionary: `model="ranker@3", cells="12345=2;777=1"`. Honoured for callers that an override rule names.
inline constexpr std::string_view kOverride = "sb-override";

// Set by signalbox, towards hosts and towards clients; stripped from what clients send.
inline constexpr std::string_view kRoutingKey = "sb-routing-key";
// Model id: `name@version`, or `name`.
inline constexpr std::string_view kModel = "sb-model";
// 16 hex digits; ties response, decision log and trace together.
inline constexpr std::string_view kDecision = "sb-decision";
// Why this model: `override`, `context_rule`, `experiment`, `traffic_shift`, `default`, or `fallback`.
inline constexpr std::string_view kReason = "sb-reason";
// Every experiment that the request takes part in, and its cell: `12345=2;777=1`, as the cells of `sb-override`. Left
// out when there is none. Towards clients only.
inline constexpr std::string_view kExperiments = "sb-experiments";
// First 16 hex digits of the hash of the snapshot that decided. Towards clients only.
inline constexpr std::string_view kSnapshot = "sb-snapshot";
// How many hosts were given the request, where it was more than one: `2`. Towards clients only.
inline constexpr std::string_view kAttempts = "sb-attempts";
// Of an ensemble whose answers were combined: how many of its members made the answer, `2/3`. Towards clients only.
inline constexpr std::string_view kMembers = "sb-members";
// A serialised signalbox.v1.ObjectiveConfig in base64. Towards hosts only.
inline constexpr std::string_view kObjectiveConfig = "sb-objective-config-bin";

// Set by a host, in answers to its control plane: a random name of this process alone.
inline constexpr std::string_view kHostInstance = "sb-host-instance";

// Every header whose name starts so belongs to signalbox; those it does not know are stripped too.
inline constexpr std::string_view kPrefix = "sb-";

}  // namespace signalbox::headers
