// The experimentation platforms that a data plane knows, as its operator declares them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::allocate {

struct PlatformOptions {
  enum class Protocol { kOfrep, kGrpc };
  std::string name;  // what rules call it
  Protocol protocol = Protocol::kOfrep;
  std::string address;     // OFREP: the URL before "/ofrep/v1/..."; gRPC: "HOST:PORT"
  std::string token;       // sent as `authorization: Bearer ...` where it is not empty
  std::string token_file;  // where it was read; empty: nowhere, and it stays
  // Free attributes of the context, and `user`, that may be sent to it. Everything else of them stays in the house.
  std::vector<std::string> attributes;
};

// The command line's form of a data plane's platforms. `platforms`: "NAME=ofrep:http://HOST:PORT[/BASE]" or
// "NAME=grpc:HOST:PORT"; `tokens`: "NAME=FILE", whose first line is read now; `attributes`: "NAME=KEY,KEY...".
// INVALID_ARGUMENT says which of them is wrong and what was expected; NOT_FOUND and the like that a file cannot be
// read.
absl::StatusOr<std::vector<PlatformOptions>> ParsePlatforms(const std::vector<std::string>& platforms,
                                                            const std::vector<std::string>& tokens,
                                                            const std::vector<std::string>& attributes);

// The bearer token in the first line of a file.
absl::StatusOr<std::string> ReadToken(const std::string& path);

// One message for each platform whose token would cross a network that anybody can listen to: neither https, nor an
// address of this machine.
std::vector<std::string> PlainTokenWarnings(const std::vector<PlatformOptions>& platforms);

}  // namespace signalbox::allocate
