// Where a model may be loaded and tried that nobody has validated yet: on one host first, because it may take that host
// with it; where it is suspected of that, with nothing else beside it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rollout/commands.h"

namespace signalbox::rollout {

// Of one step. First all hosts offer themselves, then it is decided.
class Trials {
 public:
  explicit Trials(const CommandStep& step) : step_(step) {}

  void Offer(const std::string& model, const std::string& id, const HostFact& host);
  void Decide();

  // Whether the host may load or try the model now.
  bool MayTry(const std::string& model, const std::string& id);
  // A host has died of it, and nobody has validated it since.
  bool IsSuspect(const std::string& model);
  // One is under way there.
  bool TriesSuspect(const HostFact& host);
  // Nothing else is under way there, and nothing that could still kill the host: it would be blamed on this one.
  bool IsAlone(const std::string& model, const HostFact& host);

 private:
  struct Host {
    const std::string* id = nullptr;
    const HostFact* fact = nullptr;
  };
  bool IsUnproven(const std::string& model);
  std::string Choose(const std::string& model, const std::vector<Host>& offers);

  const CommandStep& step_;
  std::map<std::string, bool> unproven_;
  std::map<std::string, std::vector<Host>> offers_;  // by model
  std::map<std::string, std::string> chosen_;        // host by model; "" is none
  std::map<std::string, int> chosen_on_;             // how many, by host
};

}  // namespace signalbox::rollout
