// What a decision may look at: metadata of the request, never its payload.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace signalbox::decide {

enum class TrafficType : uint8_t { kLive, kSynthetic, kReplay, kShadow };

// "live", "synthetic", "replay", "shadow".
std::string_view Name(TrafficType type);
std::optional<TrafficType> ParseTrafficType(std::string_view name);

struct Attribute {
  std::string_view key;
  std::string_view value;
};

// A cell of an experiment, by name: what a caller with an override asks for, or what an experimentation platform gave.
struct CellName {
  std::string_view experiment;
  std::string_view cell;
};

// A view: whoever builds it keeps the text alive while it is used. Fields that the client did not send are empty. Time
// and randomness are fields, so that a decision can be made again from its log record.
struct RequestContext {
  std::string_view objective = {};
  std::string_view user = {};
  std::string_view country = {};
  std::string_view locale = {};
  std::string_view device = {};
  std::string_view surface = {};
  std::string_view tenant = {};
  TrafficType traffic_type = TrafficType::kLive;
  std::string_view app_version = {};
  // Separated by spaces: "kids premium".
  std::string_view segments = {};
  std::span<const Attribute> attributes = {};

  // Milliseconds since 1970; 0: unknown, and then nothing that depends on time is in effect: no window holds, no
  // experiment with a start or an end runs, no scheduled shift has begun.
  int64_t now_unix_ms = 0;
  // Drawn for the request (its decision id): what shadows are sampled by.
  uint64_t random = 0;

  // What the caller asks for in `sb-override`; counts only where an override rule allows it.
  std::string_view override_model = {};
  std::span<const CellName> override_cells = {};
  // Cells that experimentation platforms gave in time, for experiments with remote allocation.
  std::span<const CellName> remote_cells = {};
};

}  // namespace signalbox::decide
