// Load reports of hosts in the form of ORCA (Open Request Cost Aggregation): a header that a host adds to an answer
// when the request asked for it, as vLLM and Triton do.
#pragma once

#include <optional>
#include <string_view>

namespace signalbox::fleet {

// Of the request: "text" or "json".
inline constexpr std::string_view kLoadFormatHeader = "endpoint-load-metrics-format";
// Of the answer, among its headers or its trailers.
inline constexpr std::string_view kLoadHeader = "endpoint-load-metrics";

// How much of a host is in use, 0 to 1 and above, by the value of its header:
//
//   TEXT cpu_utilization=0.3,named_metrics.kv_cache_utilization=0.7
//   JSON {"cpu_utilization": 0.3, "named_metrics": {"kv_cache_utilization": 0.7}}
//
// `application_utilization` where it is there: the host knows best. Else the greatest of `cpu_utilization` and of all
// named metrics that end in `_utilization` or `_usage_perc`: what is used up first limits it. nullopt when it has none
// of these, or is not a report. What cannot be read in it is read over.
std::optional<double> Saturation(std::string_view header);

}  // namespace signalbox::fleet
