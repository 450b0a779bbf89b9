// What `signalbox top` can say of a row, and which families of a proxy's /metrics say it. A family that a proxy does
// not have leaves its cells empty: an older proxy works, and what is new takes a line of the table in traffic_cells.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace signalbox::cli {

enum class Cell : uint8_t {
  // Of an Objective, a model, a shadow.
  kRate,           // requests in a second; of a shadow, copies
  kShare,          // an Objective's part of all requests, a model's part of its Objective's
  kP50,            // seconds
  kP99,            // seconds
  kErrors,         // in a second, by code
  kInFlight,       // requests
  kSaturation,     // 1: a concurrency limit is reached
  kRefusals,       // in a second, by limit
  kFallbacks,      // in a second
  kStaticAnswers,  // in a second
  kRetries,        // in a second
  kHedges,         // in a second
  kShadows,        // copies in a second
  kShadowsLost,    // copies in a second that rules ask for and that were not sent, or were given up
  kDisagreement,   // part of the copies whose answer was compared
  // Not shown: what others are worked out from.
  kLimitInFlight,
  kShadowsAgreed,
  kShadowsDisagreed,
  // Of a host.
  kOutstanding,  // requests
  kHostLatency,  // seconds
  kWeight,       // 1: all of its share
  kUtilisation,  // as it reports
  kEjected,      // proxies that have ejected it
  kUnhealthy,    // proxies that it is not healthy for
  kPanic,        // proxies that ignore its health
  kEjections,    // in a second
  // Of a proxy.
  kWorkerDelay,  // seconds
  kAdmitted,     // of the lowest priority class that is held off most: 1 is all
};
inline constexpr size_t kCellCount = static_cast<size_t>(Cell::kAdmitted) + 1;

// What the values of several series, and of several proxies, are together.
enum class Merge : uint8_t { kSum, kMost, kLeast };

struct CellTraits {
  std::string_view json_name;  // empty: not shown
  Merge merge = Merge::kSum;
};
const CellTraits& TraitsOf(Cell cell);

// Whose cell it is. kModel counts for its Objective too, as kShadow does.
enum class Level : uint8_t { kObjective, kModel, kShadow, kHost, kProxy };

struct FamilyUse {
  std::string_view family;
  Cell cell;
  Level level;
  bool is_counter = true;          // shown as its increase in a second
  std::string_view label = {};     // only samples in which this label ...
  std::string_view value = {};     // ... is this, or begins with it when it ends in '*', or is anything else after '!'
  std::string_view parts_by = {};  // the label by whose values the cell is told apart
  bool negate = false;             // a gauge of 0 and 1, taken the other way round
};
std::span<const FamilyUse> FamilyUses();
// Whether the sample's label, if the use asks for one, fits.
bool Fits(const FamilyUse& use, std::string_view label_value);

// Requests under way and their limit stand in two families, and are brought together by their labels.
inline constexpr std::string_view kLimitInFlightFamily = "signalbox_limit_in_flight";
inline constexpr std::string_view kLimitFamily = "signalbox_limit_adaptive";

}  // namespace signalbox::cli
