// What the commands of operators share that change something in a store: rollout, placement, rules pin.
#pragma once

#include <string>

#include "cli/published_rules.h"
#include "control/operator_topics.h"

namespace signalbox::cli {

struct SignatureOptions {
  std::string author = DefaultAuthor();
  std::string message;

  control::Signature signature() const { return {author, message}; }
};
// --author and --message.
void AddOptions(CLI::App& command, SignatureOptions& options);

// --store and --json alone, of what concerns no namespace.
void AddStoreOptions(CLI::App& command, PublishedRulesOptions& options);

}  // namespace signalbox::cli
