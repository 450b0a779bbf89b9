// Any bytes as the answers of two models: they are combined, or refused with words.
#include <google/protobuf/stubs/logging.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "inference/combine.h"
#include "inference/open_inference.pb.h"

namespace {

using signalbox::combine::MemberAnswer;

void Require(bool holds) {
  if (!holds) std::abort();
}

void RequireReadable(const absl::StatusOr<std::string>& combined) {
  if (!combined.ok()) return Require(!combined.status().message().empty());
  inference::ModelInferResponse response;
  Require(response.ParseFromString(*combined));
  Require(response.raw_output_contents().empty() || response.raw_output_contents_size() == response.outputs_size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t half = bytes.size() * data[0] / 255;
  const std::array<MemberAnswer, 2> different = {
      MemberAnswer{.model = "a@1", .response = bytes.substr(0, half)},
      MemberAnswer{.model = "b@1", .response = bytes.substr(half), .weight = 0.25}};
  RequireReadable(signalbox::combine::Mean("ensemble:mix", different));
  RequireReadable(signalbox::combine::Labelled("ensemble:mix", different));
  const std::array<MemberAnswer, 2> same = {MemberAnswer{.model = "a@1", .response = bytes},
                                            MemberAnswer{.model = "b@1", .response = bytes}};
  RequireReadable(signalbox::combine::Mean("ensemble:mix", same));
  return 0;
}
