// Traffic shifts in words and as JSON: what is in effect, and what a move of one does.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/publish_traffic.h"

namespace signalbox::cli {

// Every shift of a namespace, what is set beside the rules, and the next step of its schedule. Ends with a line end.
std::string DescribeTraffic(std::string_view namespace_name, const control::TrafficView& view, int64_t now_unix_ms);
nlohmann::ordered_json ToJson(const control::TrafficView& view, int64_t now_unix_ms);

// What a command did: which part of the users goes where, and what has become of the schedule.
std::string DescribeMove(std::string_view namespace_name, const control::PublishedTraffic& moved);
nlohmann::ordered_json ToJson(const control::PublishedTraffic& moved);

// A line for each version, newest first.
std::string DescribeHistory(std::string_view namespace_name, const std::vector<control::TrafficVersion>& versions);
nlohmann::ordered_json ToJson(const std::vector<control::TrafficVersion>& versions);

}  // namespace signalbox::cli
