// Any bytes as the value of sb-context, and what stands behind a newline as that of sb-override: read within them, or
// refused with the header's name.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/status.h"
#include "proxy/context_headers.h"
#include "proxy/worker_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static signalbox::proxy::WorkerMemory memory;
  static signalbox::proxy::HeaderList headers(memory);
  static signalbox::proxy::ContextHeaders read;
  headers.Clear();
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(all.find('\n'), size);
  if (!headers.Add("sb-context", all.substr(0, end))) return 0;
  if (end < size && !headers.Add("sb-override", all.substr(end + 1))) return 0;
  const absl::Status status = signalbox::proxy::ReadContext(headers, read);
  if (!status.ok()) {
    if (signalbox::Message(status).find("sb-") == std::string_view::npos) std::abort();
    return 0;
  }
  for (const signalbox::decide::Attribute& attribute : read.context.attributes) {
    if (attribute.key.empty()) std::abort();
  }
  for (const signalbox::decide::CellName& each : read.context.override_cells) {
    if (each.experiment.empty() || each.cell.empty()) std::abort();
  }
  return 0;
}
