#include "host/film_features.h"

#include <cmath>

namespace signalbox::host {
namespace {

using v1::Film;

float Log(bool known, int64_t value) {
  return known ? static_cast<float>(std::log10(static_cast<double>(value))) : kUnknown;
}
float Plain(bool known, int32_t value) { return known ? static_cast<float>(value) : kUnknown; }

float AudienceRating(const Film& film) {
  constexpr std::string_view kByAge[] = {"G", "PG", "PG-13", "R", "NC-17"};
  for (size_t i = 0; i < std::size(kByAge); ++i) {
    if (film.audience_rating() == kByAge[i]) return static_cast<float>(i);
  }
  return kUnknown;
}

constexpr FeatureDefinition<Film> kDefinitions[] = {
    {.name = "year", .number = [](const Film& f) { return Plain(f.has_year(), f.year()); }},
    {.name = "log_budget",
     .number = [](const Film& f) { return Log(f.has_production_budget_usd(), f.production_budget_usd()); }},
    {.name = "log_us_gross", .number = [](const Film& f) { return Log(f.has_us_gross_usd(), f.us_gross_usd()); }},
    {.name = "log_worldwide_gross",
     .number = [](const Film& f) { return Log(f.has_worldwide_gross_usd(), f.worldwide_gross_usd()); }},
    {.name = "running_time",
     .number = [](const Film& f) { return Plain(f.has_running_time_minutes(), f.running_time_minutes()); }},
    {.name = "critics", .number = [](const Film& f) { return Plain(f.has_critics_percent(), f.critics_percent()); }},
    {.name = "log_votes", .number = [](const Film& f) { return Log(f.has_votes(), f.votes()); }},
    {.name = "audience_rating", .number = AudienceRating},
    {.name = "genre", .category = [](const Film& f) { return f.genre(); }},
    {.name = "source", .category = [](const Film& f) { return f.source(); }},
    {.name = "creative_type", .category = [](const Film& f) { return f.creative_type(); }},
    {.name = "distributor", .category = [](const Film& f) { return f.distributor(); }},
    {.name = "director", .category = [](const Film& f) { return f.director(); }},
};

}  // namespace

std::span<const FeatureDefinition<v1::Film>> FilmFeatureDefinitions() { return kDefinitions; }

}  // namespace signalbox::host
