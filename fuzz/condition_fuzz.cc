// Any bytes as a condition that somebody has published, asked of a request made of the same bytes: it compiles or is
// refused with words, holds or does not without reading beyond its texts, and its negation says the opposite.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory_resource>
#include <string>
#include <string_view>

#include "base/status.h"
#include "decide/condition.h"
#include "decide/condition_text.h"

namespace {

using signalbox::decide::Attribute;
using signalbox::decide::ConditionCompiler;
using signalbox::decide::Holds;
using signalbox::decide::RequestContext;

// What stands before the first NUL is the condition as text, what stands behind it a value for every field.
void Ask(std::string_view text, std::string_view value) {
  signalbox::v1::Condition proto;
  google::protobuf::TextFormat::Parser parser;
  struct Silent : google::protobuf::io::ErrorCollector {
    void AddError(int, int, const std::string&) override {}
  } silent;
  parser.RecordErrorsTo(&silent);
  parser.SetRecursionLimit(50);
  if (!parser.ParseFromString(std::string(text), &proto)) return;
  signalbox::v1::Condition negation;
  *negation.mutable_not_() = proto;

  std::pmr::monotonic_buffer_resource memory;
  ConditionCompiler compiler(memory);
  const auto compiled = compiler.Compile(proto, memory);
  const auto negated = compiler.Compile(negation, memory);
  if (!compiled.ok()) {
    if (signalbox::Message(compiled.status()).empty()) std::abort();
    return;
  }
  if (*compiled != nullptr) signalbox::decide::ConditionText(proto);
  if (!negated.ok() || *compiled == nullptr || *negated == nullptr) return;
  const std::array<Attribute, 2> attributes = {{{"age", value}, {"plan", value}}};
  const RequestContext context = {.user = value,
                                  .country = value,
                                  .device = value,
                                  .app_version = value,
                                  .segments = value,
                                  .attributes = attributes,
                                  .now_unix_ms = static_cast<int64_t>(value.size()) * 3'600'000};
  uint32_t notes = 0;
  if (Holds(**compiled, context, notes) == Holds(**negated, context, notes)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(all.find('\0'), size);
  Ask(all.substr(0, end), end < size ? all.substr(end + 1) : std::string_view());
  return 0;
}
