// What the commands on published rules share: publish, history, show, rollback, watch.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/publish_rules.h"
#include "store/store.h"

namespace signalbox::cli {

struct PublishedRulesOptions {
  std::string store;
  std::string namespace_name = "default";
  bool json = false;
};
// --store, --namespace and --json.
void AddOptions(CLI::App& command, PublishedRulesOptions& options);

// The store, which must be there, and a namespace that can be one.
absl::StatusOr<std::unique_ptr<store::Store>> OpenExisting(const PublishedRulesOptions& options);

// NOT_FOUND is no answer here: what `spec` names cannot be opened is UNAVAILABLE.
absl::StatusOr<std::unique_ptr<store::Store>> Open(const std::string& spec, store::OpenMode mode);

// Of the user who runs this.
std::string DefaultAuthor();

// {"ok": false, "code", "error", "errors": [one a line]}: of every command with --json that could not do what it was
// asked to.
nlohmann::ordered_json ErrorJson(const absl::Status& status);

// Prints what went wrong (with `json`: ErrorJson to standard output) and gives the exit code.
int Fail(std::string_view command, const absl::Status& status, bool json);

// "2026-11-21 12:04:56Z".
std::string TimeText(int64_t unix_ms);
// A version without its content, with the names of v1 and of store.h.
nlohmann::ordered_json ToJson(const store::VersionInfo& info);
// As it is printed: two spaces, and no exception for text that is not UTF-8.
std::string Dump(const nlohmann::ordered_json& json);

// What publish and rollback tell of what they did.
void PrintResult(const PublishedRulesOptions& options, const control::PublishedRules& result);

}  // namespace signalbox::cli
