// Films from the `movies.json` of the vega-datasets package, cleaned.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "signalbox/v1/workflow.pb.h"

namespace signalbox::host {

struct LabelledFilm {
  v1::Film film;
  // 1 to 10. Kept apart from the film: it is the label, and must not reach a feature.
  std::optional<float> imdb_rating;
};

struct Films {
  std::vector<LabelledFilm> films;  // in the order of the file; titles are unique
  std::string data_sha256;
  // What was wrong with the data and what was done about it, one sentence each. For people.
  std::vector<std::string> repairs;
};

// Reads FOLDER/movies.json. The data is dirty on purpose, and is met so: a film without a title is dropped, a title
// that is a number is its text, a second film of the same title becomes "TITLE (YEAR)", a year after 2011 is one of the
// century before (the source had two digits), an amount of 0 is unknown, a field of another type than expected is
// unknown. NOT_FOUND says how to install the package; INVALID_ARGUMENT when the file is not a JSON array of objects or
// holds no film.
absl::StatusOr<Films> LoadFilms(const std::string& folder);

}  // namespace signalbox::host
