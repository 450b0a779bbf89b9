// The request context as it reaches a model: parameters of the body and `sb-*` metadata.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "inference/open_inference.pb.h"

namespace signalbox::host {

// Views; the call they come from outlives them.
struct RequestMetadata {
  std::string_view context;  // the value of `sb-context`, an RFC 8941 dictionary; empty when there was none
};

// The value of `key` in an RFC 8941 dictionary such as `country=US, surface="kids"`. nullopt when it is not there. What
// cannot be parsed is read over: the edge has checked it, and a model must not fail for what it does not need.
std::optional<std::string> ContextValue(std::string_view dictionary, std::string_view key);

// The request's parameter `name`; nullopt when it is absent or empty. Rules send every parameter as text, other clients
// as a number or truth value; all are taken. INVALID_ARGUMENT, with the range, for a number that is none or lies
// outside of it.
absl::StatusOr<std::optional<double>> NumberParameter(const inference::ModelInferRequest& request,
                                                      const std::string& name, double low, double high);
std::optional<std::string> TextParameter(const inference::ModelInferRequest& request, const std::string& name);

}  // namespace signalbox::host
