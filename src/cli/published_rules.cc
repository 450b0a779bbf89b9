#include "cli/published_rules.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/time/time.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/rule_set_text.h"

namespace signalbox::cli {
namespace {

std::string BytesText(size_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
}

std::string Headline(const store::Published& published, std::string_view namespace_name) {
  const store::VersionInfo& info = published.info;
  if (published.unchanged) {
    return fmt::format("{}: nothing to publish, version {} is the same", namespace_name, info.version);
  }
  if (info.rollback_of != 0) {
    return fmt::format("{}: rolled back to version {}, published as version {}", namespace_name, info.rollback_of,
                       info.version);
  }
  return fmt::format("{}: published version {}", namespace_name, info.version);
}

nlohmann::ordered_json ResultJson(const control::PublishedRules& result) {
  nlohmann::ordered_json json = {{"ok", true}};
  json.update(ToJson(result.published.info));
  json["unchanged"] = result.published.unchanged;
  json["changes"] = DescribeChanges(result.before, result.after);
  json["warnings"] = result.warnings;
  return json;
}

}  // namespace

void AddOptions(CLI::App& command, PublishedRulesOptions& options) {
  command.add_option("--store", options.store, fmt::format("Where rules are published: {}", store::kStoreSpecs))
      ->required();
  command.add_option("--namespace", options.namespace_name, "Namespace of the rules")->capture_default_str();
  command.add_flag("--json", options.json, "Print JSON, also for errors");
}

absl::StatusOr<std::unique_ptr<store::Store>> OpenExisting(const PublishedRulesOptions& options) {
  RETURN_IF_ERROR(store::CheckNamespace(options.namespace_name));
  return Open(options.store, store::OpenMode::kExisting);
}

absl::StatusOr<std::unique_ptr<store::Store>> Open(const std::string& spec, store::OpenMode mode) {
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::OpenStore(spec, mode);
  // Elsewhere NOT_FOUND is a namespace or a version: an answer, and no trouble with the environment.
  if (absl::IsNotFound(store.status())) return absl::UnavailableError(store.status().message());
  return store;
}

std::string DefaultAuthor() {
  const passwd* user = getpwuid(geteuid());
  return user != nullptr && user->pw_name[0] != '\0' ? user->pw_name : fmt::format("uid {}", geteuid());
}

int Fail(std::string_view command, const absl::Status& status, bool json) {
  if (json) {
    fmt::print("{}\n", Dump(ErrorJson(status)));
  } else if (absl::IsInvalidArgument(status)) {
    // Each line begins with a file, line and column that editors understand.
    fmt::print(stderr, "{}\nsignalbox {}: refused; nothing was written\n", Message(status), command);
  } else {
    fmt::print(stderr, "signalbox {}: {}\n", command, Message(status));
  }
  // A namespace or a version that is not there is an answer.
  return absl::IsNotFound(status) ? 1 : ExitCodeOf(status);
}

nlohmann::ordered_json ErrorJson(const absl::Status& status) {
  const std::string text(Message(status));
  nlohmann::ordered_json errors = nlohmann::ordered_json::array();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) errors.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return {{"ok", false}, {"code", absl::StatusCodeToString(status.code())}, {"error", text}, {"errors", errors}};
}

std::string TimeText(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

nlohmann::ordered_json ToJson(const store::VersionInfo& info) {
  nlohmann::ordered_json json;
  if (const auto name = store::NamespaceOfTopic(info.topic)) json["namespace"] = std::string(*name);
  if (const auto name = store::NamespaceOfTrafficTopic(info.topic)) json["namespace"] = std::string(*name);
  json["topic"] = info.topic;
  json["version"] = info.version;
  json["sequence"] = info.sequence;
  json["content_hash"] = info.content_hash;
  json["content_bytes"] = info.content_bytes;
  json["author"] = info.author;
  json["message"] = info.message;
  json["published_unix_ms"] = info.unix_ms;
  json["rollback_of"] = info.rollback_of == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(info.rollback_of);
  return json;
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

void PrintResult(const PublishedRulesOptions& options, const control::PublishedRules& result) {
  if (options.json) {
    fmt::print("{}\n", Dump(ResultJson(result)));
    return;
  }
  fmt::print("{}\n", Headline(result.published, options.namespace_name));
  if (!result.published.unchanged) {
    for (const std::string& change : DescribeChanges(result.before, result.after)) fmt::print("  {}\n", change);
    fmt::print("  now {}; {}\n", CountsText(result.after), BytesText(result.published.info.content_bytes));
  }
  std::fflush(stdout);
  for (const std::string& warning : result.warnings) fmt::print(stderr, "warning: {}\n", warning);
}

}  // namespace signalbox::cli
