// Load reports of hosts in the form of ORCA (Open Request Cost Aggregation), read from every answer: allocation-free.
#pragma once

#include <optional>
#include <string_view>

namespace signalbox::balance {

// Of the request: "text", "json" or "bin".
inline constexpr std::string_view kLoadFormatHeader = "endpoint-load-metrics-format";
// Of the answer, among its headers or its trailers: `TEXT cpu_utilization=0.3,...` or `JSON {"cpu_utilization": 0.3}`
inline constexpr std::string_view kLoadHeader = "endpoint-load-metrics";
// The same, an xds.data.orca.v3.OrcaLoadReport in base64.
inline constexpr std::string_view kLoadBinaryHeader = "endpoint-load-metrics-bin";

// Whether it is one of the two, and so ReadLoadReport may know more.
inline bool IsLoadReport(std::string_view name) { return name == kLoadHeader || name == kLoadBinaryHeader; }

// How much of a host is in use: `application_utilization` where it is there, as the host knows best; else the greatest
// of `cpu_utilization` and of what is named `..._utilization` or `..._usage_perc`, as what is used up first limits it.
// Negative numbers and what is none are passed over; more than 1 is possible. nullopt where nothing is left.
std::optional<double> ReadLoadReport(std::string_view header_name, std::string_view value);

}  // namespace signalbox::balance
