#include "host/flight_features.h"

namespace signalbox::host {
namespace {

std::string AtPartOfDay(const std::string& airport, const FlightInput& flight) {
  int hour = flight.departure.minute_of_day / 60;
  char part = hour < 5 ? '0' : hour < 10 ? '1' : hour < 14 ? '2' : hour < 18 ? '3' : '4';
  return airport + part;
}

constexpr FeatureDefinition<FlightInput> kDefinitions[] = {
    {.name = "minute_of_day",
     .number = [](const FlightInput& f) { return static_cast<float>(f.departure.minute_of_day); }},
    {.name = "weekday", .number = [](const FlightInput& f) { return static_cast<float>(f.departure.weekday()); }},
    {.name = "distance", .number = [](const FlightInput& f) { return f.distance_miles; }},
    {.name = "origin", .category = [](const FlightInput& f) { return f.origin; }},
    {.name = "destination", .category = [](const FlightInput& f) { return f.destination; }},
    {.name = "route", .category = [](const FlightInput& f) { return f.origin + "-" + f.destination; }},
    {.name = "origin_part_of_day", .category = [](const FlightInput& f) { return AtPartOfDay(f.origin, f); }},
    {.name = "destination_part_of_day", .category = [](const FlightInput& f) { return AtPartOfDay(f.destination, f); }},
};

}  // namespace

std::span<const FeatureDefinition<FlightInput>> FlightFeatureDefinitions() { return kDefinitions; }

}  // namespace signalbox::host
