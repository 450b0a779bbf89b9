// `signalbox store copy`.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/published_rules.h"
#include "store/store.h"
#include "store/store_copy.h"

namespace signalbox::cli {
namespace {

struct CopyOptions {
  std::string from;
  std::string to;
  bool json = false;
};

std::string Count(int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

absl::Status Copy(const CopyOptions& options) {
  auto from = store::OpenStore(options.from, store::OpenMode::kExisting);
  // Elsewhere NOT_FOUND is an answer, and no trouble with the environment.
  if (absl::IsNotFound(from.status())) return absl::UnavailableError(from.status().message());
  RETURN_IF_ERROR(from.status());
  auto to = store::OpenStore(options.to, store::OpenMode::kCreateIfMissing);
  if (absl::IsNotFound(to.status())) return absl::UnavailableError(to.status().message());
  RETURN_IF_ERROR(to.status());
  ASSIGN_OR_RETURN(const store::CopyResult result, store::CopyStore(**from, **to));
  if (options.json) {
    fmt::print("{}\n", Dump({{"ok", true},
                             {"from", (*from)->name()},
                             {"to", (*to)->name()},
                             {"versions", result.sequence},
                             {"versions_without_content", result.pruned},
                             {"topics", result.topics},
                             {"sequence", result.sequence},
                             {"records", result.records}}));
    return absl::OkStatus();
  }
  fmt::print("copied {} of {}, up to sequence {}; {} without content, which retention had dropped; {}\n",
             Count(result.sequence, "version"), Count(static_cast<int64_t>(result.topics), "topic"), result.sequence,
             result.pruned, Count(static_cast<int64_t>(result.records), "record"));
  return absl::OkStatus();
}

}  // namespace

void AddStore(CLI::App& app, Outcome& outcome) {
  CLI::App* store = app.add_subcommand("store", "What is published, as a whole");
  store->require_subcommand(1);
  auto options = std::make_shared<CopyOptions>();
  CLI::App* command = store->add_subcommand(
      "copy",
      "Copy every version, with its number, author and time, to an empty store. Stop the control planes before");
  command->add_option("FROM", options->from, store::kStoreSpecs)->required();
  command->add_option("TO", options->to, fmt::format("{}; made when it is missing", store::kStoreSpecs))->required();
  command->add_flag("--json", options->json, "Print JSON, also for errors");
  command->callback([options, &outcome] {
    if (absl::Status status = Copy(*options); !status.ok()) {
      outcome.exit_code = Fail("store copy", status, options->json);
    }
  });
}

}  // namespace signalbox::cli
