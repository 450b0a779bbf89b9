// What an arrival delay workflow can know about a flight at its departure.
#pragma once

#include <span>
#include <string>

#include "host/features.h"
#include "host/flights.h"

namespace signalbox::host {

// The domain input of one row.
struct FlightInput {
  Departure departure;
  std::string origin;
  std::string destination;
  float distance_miles = kUnknown;
};

// minute_of_day, weekday (0 is Monday), distance (miles), and the categories origin, destination, route ("JFK-LAX"),
// origin_part_of_day and destination_part_of_day (the airport in the night, morning, noon, afternoon or evening: a
// hub's delays grow over the day).
std::span<const FeatureDefinition<FlightInput>> FlightFeatureDefinitions();

}  // namespace signalbox::host
