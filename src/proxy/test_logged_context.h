// A line of the decision log as the request that it stands for. For tests only.
#pragma once

#include <cstdint>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decide/request_context.h"

namespace signalbox::proxy {

// The lines of requests that name an Objective.
inline std::vector<nlohmann::json> ReadLogLines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    nlohmann::json parsed = nlohmann::json::parse(line);
    if (!parsed["objective"].get<std::string>().empty()) lines.push_back(std::move(parsed));
  }
  return lines;
}

// The request context that a line of the log stands for. `texts` keeps what the views point to.
struct LoggedContext {
  explicit LoggedContext(nlohmann::json of) : line(std::move(of)) {
    auto text = [&](const char* key) {
      return line.contains(key) ? std::string_view(line[key].get_ref<const std::string&>()) : std::string_view();
    };
    auto cells = [](const nlohmann::json& object, std::vector<decide::CellName>& out) {
      for (const auto& [experiment, cell] : object.items())
        out.push_back({experiment, cell.get_ref<const std::string&>()});
    };
    context.objective = text("objective");
    context.user = text("user");
    context.tenant = text("tenant");
    context.country = text("country");
    context.locale = text("locale");
    context.device = text("device");
    context.surface = text("surface");
    context.app_version = text("app_version");
    context.traffic_type = *decide::ParseTrafficType(text("traffic_type"));
    if (line.contains("segments")) {
      for (const auto& segment : line["segments"]) {
        segments += (segments.empty() ? "" : " ") + segment.get<std::string>();
      }
    }
    context.segments = segments;
    if (line.contains("attributes")) {
      for (const auto& [key, value] : line["attributes"].items())
        attributes.push_back({key, value.get_ref<const std::string&>()});
    }
    context.attributes = attributes;
    if (line.contains("override")) {
      const nlohmann::json& wish = line["override"];
      if (wish.contains("model")) context.override_model = wish["model"].get_ref<const std::string&>();
      if (wish.contains("cells")) cells(wish["cells"], override_cells);
    }
    context.override_cells = override_cells;
    if (line.contains("remote_cells")) cells(line["remote_cells"], remote_cells);
    context.remote_cells = remote_cells;
    context.random = std::stoull(line["decision"].get<std::string>(), nullptr, 16);
    // "2026-11-21T12:13:08.879695Z"
    std::tm utc = {};
    const std::string time = line["time"];
    strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
    context.now_unix_ms = timegm(&utc) * int64_t{1000} + std::stoi(time.substr(20, 3));
  }

  nlohmann::json line;
  std::string segments;
  std::vector<decide::Attribute> attributes;
  std::vector<decide::CellName> override_cells;
  std::vector<decide::CellName> remote_cells;
  decide::RequestContext context;
};

}  // namespace signalbox::proxy
