#include "cli/operator_options.h"

namespace signalbox::cli {

void AddOptions(CLI::App& command, SignatureOptions& options) {
  command.add_option("--author", options.author, "Who does it")->capture_default_str();
  command.add_option("--message", options.message, "Why, for the audit log: one line");
}

void AddStoreOptions(CLI::App& command, PublishedRulesOptions& options) {
  command.add_option("--store", options.store, "Store: sqlite:PATH or etcd:HOST:PORT[,HOST:PORT...]")->required();
  command.add_flag("--json", options.json, "Print JSON, also for errors");
}

}  // namespace signalbox::cli
