// Any bytes as the value of sb-context: read within them, or refused with a place.
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
  if (!headers.Add("sb-context", {reinterpret_cast<const char*>(data), size})) return 0;
  const absl::Status status = signalbox::proxy::ReadContext(headers, read);
  if (!status.ok()) {
    if (signalbox::Message(status).find("sb-context") == std::string_view::npos) std::abort();
    return 0;
  }
  for (const signalbox::decide::Attribute& attribute : read.context.attributes) {
    if (attribute.key.empty()) std::abort();
  }
  return 0;
}
