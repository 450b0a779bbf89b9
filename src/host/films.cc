#include "host/films.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/status.h"
#include "base/string_map.h"
#include "host/data_file.h"

namespace signalbox::host {
namespace {

// The data was collected in 2010 and holds announced films of 2011; what is later was written "33" and meant 1933.
constexpr int kYearMax = 2011;

struct Repairs {
  int without_title = 0;
  int numeric_titles = 0;
  int shared_titles = 0;
  int repeated = 0;
  int years = 0;
  int unreadable_dates = 0;
};

std::string Text(const simdjson::dom::element& row, const char* key) {
  std::string_view text;
  return row[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<int64_t> Whole(const simdjson::dom::element& row, const char* key) {
  int64_t value;
  if (row[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

// Money and counts: 0 and less mean that nobody knows.
std::optional<int64_t> Positive(const simdjson::dom::element& row, const char* key) {
  std::optional<int64_t> value = Whole(row, key);
  return value && *value > 0 ? value : std::nullopt;
}

std::optional<int32_t> Small(const simdjson::dom::element& row, const char* key, int32_t low, int32_t high) {
  std::optional<int64_t> value = Whole(row, key);
  if (!value || *value < low || *value > high) return std::nullopt;
  return static_cast<int32_t>(*value);
}

std::string Title(const simdjson::dom::element& row, Repairs& repairs) {
  if (std::optional<int64_t> number = Whole(row, "Title")) {
    ++repairs.numeric_titles;
    return std::to_string(*number);
  }
  return Text(row, "Title");
}

// "Jun 12 1998"
std::optional<int32_t> Year(const std::string& date, Repairs& repairs) {
  int32_t year = 0;
  for (size_t i = date.size() >= 4 ? date.size() - 4 : date.size(); i < date.size(); ++i) {
    if (date[i] < '0' || date[i] > '9') year = -10'000;
    year = year * 10 + (date[i] - '0');
  }
  if (year < 1880 || year > kYearMax + 100) {
    ++repairs.unreadable_dates;
    return std::nullopt;
  }
  if (year <= kYearMax) return year;
  ++repairs.years;
  return year - 100;
}

LabelledFilm ReadFilm(const simdjson::dom::element& row, std::string title, Repairs& repairs) {
  LabelledFilm labelled;
  v1::Film& film = labelled.film;
  film.set_title(std::move(title));
  if (auto year = Year(Text(row, "Release Date"), repairs)) film.set_year(*year);
  if (auto value = Positive(row, "Production Budget")) film.set_production_budget_usd(*value);
  if (auto value = Positive(row, "US Gross")) film.set_us_gross_usd(*value);
  if (auto value = Positive(row, "Worldwide Gross")) film.set_worldwide_gross_usd(*value);
  if (auto value = Small(row, "Running Time min", 1, 1000)) film.set_running_time_minutes(*value);
  if (auto value = Small(row, "Rotten Tomatoes Rating", 0, 100)) film.set_critics_percent(*value);
  if (auto value = Small(row, "IMDB Votes", 1, INT32_MAX)) film.set_votes(*value);
  film.set_audience_rating(Text(row, "MPAA Rating"));
  film.set_genre(Text(row, "Major Genre"));
  film.set_source(Text(row, "Source"));
  film.set_creative_type(Text(row, "Creative Type"));
  film.set_distributor(Text(row, "Distributor"));
  film.set_director(Text(row, "Director"));
  double rating;
  if (row["IMDB Rating"].get(rating) == simdjson::SUCCESS && rating >= 1 && rating <= 10) {
    labelled.imdb_rating = static_cast<float>(rating);
  }
  return labelled;
}

// Leaves every title to one film; drops what cannot be told apart even by its year.
void MakeTitlesUnique(std::vector<LabelledFilm>& films, Repairs& repairs) {
  StringMap<size_t> owners;
  for (size_t i = 0; i < films.size(); ++i) {
    auto [owner, fresh] = owners.try_emplace(films[i].film.title(), i);
    if (!fresh && films[i].film.votes() > films[owner->second].film.votes()) owner->second = i;
  }
  StringMap<bool> taken;
  for (const auto& [title, owner] : owners) taken.emplace(title, true);
  std::vector<LabelledFilm> unique;
  unique.reserve(films.size());
  for (size_t i = 0; i < films.size(); ++i) {
    LabelledFilm& film = films[i];
    if (owners[film.film.title()] != i) {
      std::string title = fmt::format("{} ({})", film.film.title(), film.film.year());
      if (!film.film.has_year() || !taken.emplace(title, true).second) {
        ++repairs.repeated;
        continue;
      }
      ++repairs.shared_titles;
      film.film.set_title(std::move(title));
    }
    unique.push_back(std::move(film));
  }
  films = std::move(unique);
}

std::vector<std::string> Sentences(const Repairs& repairs) {
  std::vector<std::string> sentences;
  auto add = [&](int count, std::string_view what) {
    if (count > 0) sentences.push_back(fmt::format("{} {}", count, what));
  };
  add(repairs.without_title, "without a title: dropped");
  add(repairs.repeated, "with the title and year of another, or its title and no year: dropped");
  add(repairs.numeric_titles, "with a number for a title: taken as text");
  add(repairs.shared_titles, "with another film's title: the year added to it");
  add(repairs.years, "with a year still to come: a century taken off");
  add(repairs.unreadable_dates, "with an unreadable date: year unknown");
  return sentences;
}

}  // namespace

absl::StatusOr<Films> LoadFilms(const std::string& folder) {
  const std::string path = folder + "/movies.json";
  Films result;
  ASSIGN_OR_RETURN(std::string content, ReadDataFile(path, result.data_sha256));
  simdjson::dom::parser parser;
  simdjson::dom::array rows;
  if (auto error = parser.parse(content).get(rows); error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(
        fmt::format("{}: expected a JSON array of films: {}", path, simdjson::error_message(error)));
  }
  Repairs repairs;
  for (simdjson::dom::element row : rows) {
    std::string title = Title(row, repairs);
    if (title.empty()) {
      ++repairs.without_title;
      continue;
    }
    result.films.push_back(ReadFilm(row, std::move(title), repairs));
  }
  MakeTitlesUnique(result.films, repairs);
  if (result.films.empty()) return absl::InvalidArgumentError(fmt::format("{}: no film with a title in it", path));
  result.repairs = Sentences(repairs);
  return result;
}

}  // namespace signalbox::host
