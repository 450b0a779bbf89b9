// What an experimentation platform answers: any bytes are a cell of a name that can be one, or none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "allocate/ofrep.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using signalbox::allocate::Answer;
  using signalbox::allocate::Result;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Answer answer = signalbox::allocate::ReadOfrepAnswer(200, text, signalbox::allocate::ParseRetryAfter(text, 0));
  const bool has_cell = !answer.cell.empty() && answer.cell.size() <= signalbox::allocate::kCellBytesMax;
  if ((answer.result == Result::kCell) != has_cell) std::abort();
  return 0;
}
