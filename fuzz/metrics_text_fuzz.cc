// Any bytes as a page of metrics: read or refused with a place, and the same however they come cut.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/printable.h"
#include "base/status.h"
#include "cli/top/metrics_text.h"

namespace {

// What was read, and how it ended.
std::string Read(std::string_view page, size_t piece_bytes) {
  std::string read;
  signalbox::cli::MetricsTextReader reader(
      [&](const signalbox::cli::MetricSample& sample) {
        if (sample.name.empty()) std::abort();
        read += sample.name;
        for (const auto& label : sample.labels) read += '\0' + label.name + '\0' + label.value;
        read += '\n';
        return absl::OkStatus();
      },
      [&](std::string_view family) { read += family; });
  absl::Status status;
  while (status.ok() && !page.empty()) {
    status = reader.Add(page.substr(0, piece_bytes));
    page.remove_prefix(piece_bytes < page.size() ? piece_bytes : page.size());
  }
  if (status.ok()) status = reader.Finish();
  if (signalbox::HoldsControlCharacters(signalbox::Message(status))) std::abort();
  return read.append(signalbox::Message(status));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  if (Read(page, size) != Read(page, 3)) std::abort();
  return 0;
}
