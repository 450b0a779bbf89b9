// Flights from the `flights-20k.json` of the vega-datasets package.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace signalbox::host {

// The local time a flight leaves at. The data holds the recorded departure, not the one of the timetable (too few
// minutes are multiples of five for that), so a prediction from it is one made at departure.
struct Departure {
  int32_t day = 0;                                   // days since 1970-01-01
  int32_t minute_of_day = 0;                         // 0 to 1439
  int32_t weekday() const { return (day + 3) % 7; }  // 0 is Monday
};

// "2001/01/31 17:05", or ISO 8601 to the minute ("2001-01-31T17:05", seconds and fractions are read over, a time zone
// is refused: the time is the airport's). nullopt when it is neither, or no date. Years 1970 to 2199.
std::optional<Departure> ParseDeparture(std::string_view text);

struct Flight {
  std::string departure_text;
  Departure departure;
  std::string origin;       // IATA
  std::string destination;  // IATA
  float distance_miles = 0;
  int32_t delay_minutes = 0;  // at arrival; negative is early
};

struct Flights {
  std::vector<Flight> flights;  // by departure
  std::string data_sha256;
  int64_t dropped = 0;  // rows with an absent or unreadable field
};

// Reads FOLDER/flights-20k.json: 20,000 flights of January to March 2001. Errors as in LoadFilms.
absl::StatusOr<Flights> LoadFlights(const std::string& folder);

}  // namespace signalbox::host
