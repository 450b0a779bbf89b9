#include "fleet/load_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace signalbox::fleet {
namespace {

// A report has a dozen numbers.
constexpr size_t kReportBytesMax = 16 << 10;

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

class Report {
 public:
  void Add(std::string_view name, double value) {
    if (!std::isfinite(value) || value < 0) return;
    if (name == "application_utilization") {
      application_ = value;
    } else if (name == "cpu_utilization" || IsNamedUtilization(name)) {
      greatest_ = std::max(greatest_.value_or(0), value);
    }
  }

  std::optional<double> saturation() const { return application_ ? application_ : greatest_; }

 private:
  static bool IsNamedUtilization(std::string_view name) {
    constexpr std::string_view kNamed = "named_metrics.";
    return name.starts_with(kNamed) && (name.ends_with("_utilization") || name.ends_with("_usage_perc"));
  }

  std::optional<double> application_;
  std::optional<double> greatest_;
};

void ReadText(std::string_view text, Report& report) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string number(Trim(pair.substr(equals + 1)));
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (!number.empty() && *end == '\0') report.Add(Trim(pair.substr(0, equals)), value);
  }
}

void ReadJson(std::string_view text, Report& report) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  for (const auto& [name, value] : json.items()) {
    if (value.is_number()) report.Add(name, value.get<double>());
    if (name != "named_metrics" || !value.is_object()) continue;
    for (const auto& [metric, number] : value.items()) {
      if (number.is_number()) report.Add("named_metrics." + metric, number.get<double>());
    }
  }
}

}  // namespace

std::optional<double> Saturation(std::string_view header) {
  constexpr std::string_view kText = "TEXT ";
  constexpr std::string_view kJson = "JSON ";
  if (header.size() > kReportBytesMax) return std::nullopt;
  Report report;
  if (header.starts_with(kText)) ReadText(header.substr(kText.size()), report);
  if (header.starts_with(kJson)) ReadJson(header.substr(kJson.size()), report);
  return report.saturation();
}

}  // namespace signalbox::fleet
