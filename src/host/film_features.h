// What a title ranking workflow can know about a film.
#pragma once

#include <span>

#include "host/features.h"
#include "signalbox/v1/workflow.pb.h"

namespace signalbox::host {

// year, log_budget, log_us_gross, log_worldwide_gross (log10 of US dollars), running_time (minutes), critics (percent),
// log_votes (log10), audience_rating (0 for G to 4 for NC-17), and the categories genre, source, creative_type,
// distributor, director.
std::span<const FeatureDefinition<v1::Film>> FilmFeatureDefinitions();

}  // namespace signalbox::host
