// Any bytes as a batch of request contexts: every line gets exactly one line of valid JSON.
#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "cli/resolve_batch.h"

namespace {

std::shared_ptr<const signalbox::decide::Snapshot> MakeSnapshot() {
  signalbox::v1::Snapshot proto;
  auto& rules = *proto.add_rule_sets()->mutable_rule_set();
  rules.set_namespace_("fuzz");
  auto& objective = *rules.add_objectives();
  objective.set_name("A");
  objective.mutable_default_model()->set_name("m");
  return *signalbox::decide::Snapshot::Compile(std::move(proto));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto snapshot = MakeSnapshot();
  static signalbox::cli::LineResolver resolver(*snapshot);
  static simdjson::dom::parser parser;
  // A copy of its own on the heap, so that reading beyond the padding is noticed.
  const std::unique_ptr<char[]> line(new char[size + 64]);
  std::copy(data, data + size, line.get());
  std::fill(line.get() + size, line.get() + size + 64, '"');
  std::string out;
  const bool is_resolved = resolver.Resolve(std::string_view(line.get(), size), 7, out);
  if (out.empty() || out.find('\n') != out.size() - 1) std::abort();
  simdjson::dom::object answer;
  if (parser.parse(out).get_object().get(answer) != simdjson::SUCCESS) std::abort();
  simdjson::dom::element ignored;
  if ((answer["model"].get(ignored) == simdjson::SUCCESS) != is_resolved) std::abort();
  return 0;
}
