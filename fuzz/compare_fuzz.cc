// Any two byte strings as the answers of a live model and its shadow: a verdict with a reason of bounded length, and no
// answer differs from itself.
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "inference/compare.h"

namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using signalbox::compare::Compare;
  using signalbox::compare::Verdict;
  static const google::protobuf::LogSilencer silence;
  if (size < 2) return 0;
  signalbox::v1::Comparison by;
  if (data[0] % 3 == 0) by.mutable_exact();
  if (data[0] % 3 == 1) by.mutable_numeric()->set_relative(0.1);
  if (data[0] % 3 == 2) by.mutable_rank()->set_min(0.5);
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  const size_t live_bytes = bytes.size() * data[1] / 255;
  const std::string_view live = bytes.substr(0, live_bytes);
  const std::string_view shadow = bytes.substr(live_bytes);

  const signalbox::compare::Result result = Compare(by, live, shadow);
  Check(result.reason.empty() == (result.verdict == Verdict::kAgree));
  Check(result.reason.size() < 1000);
  Check(Compare(by, live, live).verdict != Verdict::kDisagree);
  Check(signalbox::compare::Describe(shadow, 100).size() <= 100);
  return 0;
}
