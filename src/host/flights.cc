#include "host/flights.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/status.h"
#include "host/data_file.h"

namespace signalbox::host {
namespace {

// `count` digits at `at`, or -1.
int Digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return -1;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

// "", ":05" or ":05.123"
bool IsSeconds(std::string_view text) {
  if (text.empty()) return true;
  if (text[0] != ':' || Digits(text, 1, 2) < 0 || Digits(text, 1, 2) > 60) return false;
  if (text.size() == 3) return true;
  return text[3] == '.' && text.size() > 4 && text.find_first_not_of("0123456789", 4) == std::string_view::npos;
}

bool ReadFlight(const simdjson::dom::element& row, Flight& flight) {
  std::string_view date, origin, destination;
  double distance;
  int64_t delay;
  if (row["date"].get(date) || row["origin"].get(origin) || row["destination"].get(destination)) return false;
  if (row["distance"].get(distance) || row["delay"].get(delay)) return false;
  std::optional<Departure> departure = ParseDeparture(date);
  if (!departure || origin.empty() || destination.empty() || !(distance > 0)) return false;
  if (delay < -1440 || delay > 14'400) return false;  // a day early or ten days late is a typing error
  flight = {.departure_text = std::string(date),
            .departure = *departure,
            .origin = std::string(origin),
            .destination = std::string(destination),
            .distance_miles = static_cast<float>(distance),
            .delay_minutes = static_cast<int32_t>(delay)};
  return true;
}

}  // namespace

std::optional<Departure> ParseDeparture(std::string_view text) {
  if (text.size() < 16) return std::nullopt;
  const bool slashes = text[4] == '/' && text[7] == '/';
  const bool dashes = text[4] == '-' && text[7] == '-';
  if (!slashes && !dashes) return std::nullopt;
  if ((text[10] != ' ' && text[10] != 'T') || text[13] != ':' || !IsSeconds(text.substr(16))) return std::nullopt;
  int year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2);
  int hour = Digits(text, 11, 2), minute = Digits(text, 14, 2);
  if (year < 1970 || year > 2199 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59) {
    return std::nullopt;
  }
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return Departure{.day = static_cast<int32_t>(std::chrono::sys_days(date).time_since_epoch().count()),
                   .minute_of_day = hour * 60 + minute};
}

absl::StatusOr<Flights> LoadFlights(const std::string& folder) {
  const std::string path = folder + "/flights-20k.json";
  Flights result;
  ASSIGN_OR_RETURN(std::string content, ReadDataFile(path, result.data_sha256));
  simdjson::dom::parser parser;
  simdjson::dom::array rows;
  if (auto error = parser.parse(content).get(rows); error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        fmt::format("{}: expected a JSON array of flights: {}", path, simdjson::error_message(error)));
  }
  for (simdjson::dom::element row : rows) {
    Flight flight;
    if (ReadFlight(row, flight)) {
      result.flights.push_back(std::move(flight));
    } else {
      ++result.dropped;
    }
  }
  if (result.flights.empty()) return absl::InvalidArgumentError(fmt::format("{}: no readable flight in it", path));
  std::stable_sort(result.flights.begin(), result.flights.end(), [](const Flight& a, const Flight& b) {
    return std::pair(a.departure.day, a.departure.minute_of_day) <
           std::pair(b.departure.day, b.departure.minute_of_day);
  });
  return result;
}

}  // namespace signalbox::host
