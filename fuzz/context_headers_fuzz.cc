// Any bytes as the value of sb-context and of sb-override: read within them, or refused with a place in them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "proxy/context_headers.h"
#include "proxy/worker_memory.h"

namespace {

using signalbox::proxy::ContextHeaders;
using signalbox::proxy::HeaderList;

// Refusals name the header, and a column of it: from its first byte to the place behind its last one.
void CheckRefusal(const absl::Status& status, std::string_view header, std::string_view value) {
  const std::string message(signalbox::Message(status));
  if (message.find(header) == std::string::npos) std::abort();
  constexpr std::string_view kColumn = ", column ";
  const size_t place = message.find(kColumn);
  if (place == std::string::npos) return;  // of limits
  const long long column = std::atoll(message.c_str() + place + kColumn.size());
  if (column < 1 || column > static_cast<long long>(value.size()) + 1) std::abort();
}

// As `sb-experiments` tells clients their cells, they may ask for them: what was read reads the same when it is
// written.
void CheckExperiments(std::span<const signalbox::decide::CellName> cells) {
  if (cells.empty()) return;
  static signalbox::proxy::WorkerMemory memory;
  static HeaderList headers(memory);
  static ContextHeaders again;
  std::string text = "cells=\"";
  for (const signalbox::decide::CellName& cell : cells)
    text.append(&cell == cells.data() ? "" : ";").append(cell.experiment).append("=").append(cell.cell);
  headers.Clear();
  if (!headers.Add("sb-override", text + "\"")) return;
  if (!signalbox::proxy::ReadContext(headers, again).ok()) std::abort();
  const auto same = [](const auto& a, const auto& b) { return a.experiment == b.experiment && a.cell == b.cell; };
  const auto& read = again.context.override_cells;
  if (!std::equal(cells.begin(), cells.end(), read.begin(), read.end(), same)) std::abort();
}

void Read(std::string_view header, std::string_view value) {
  static signalbox::proxy::WorkerMemory memory;
  static HeaderList headers(memory);
  static ContextHeaders read;
  headers.Clear();
  if (!headers.Add(header, value)) return;
  const absl::Status status = signalbox::proxy::ReadContext(headers, read);
  if (!status.ok()) return CheckRefusal(status, header, value);
  for (const signalbox::decide::Attribute& attribute : read.context.attributes) {
    if (attribute.key.empty()) std::abort();
  }
  for (const signalbox::decide::CellName& cell : read.context.override_cells) {
    if (cell.experiment.empty() || cell.cell.empty()) std::abort();
  }
  CheckExperiments(read.context.override_cells);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  Read("sb-context", value);
  Read("sb-override", value);
  return 0;
}
