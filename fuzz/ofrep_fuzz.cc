// What an experimentation platform answers, whatever its status: any bytes are a cell of a name that can be one, or
// none. And what is asked: any bytes are a flag, a unit and a context that arrive as they were, or are not sent.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "allocate/ofrep.h"

namespace {

using signalbox::allocate::Answer;
using signalbox::allocate::Inquiry;
using signalbox::allocate::Result;

void Check(bool holds) {
  if (!holds) std::abort();
}

// The status, the Retry-After header and the body.
void Read(int status, std::string_view retry_after, std::string_view body) {
  const auto wait = signalbox::allocate::ParseRetryAfter(retry_after, 1'700'000'000'000);
  Check(!wait || wait->count() >= 0);
  const Answer answer = signalbox::allocate::ReadOfrepAnswer(status, body, wait);
  const bool has_cell = !answer.cell.empty() && answer.cell.size() <= signalbox::allocate::kCellBytesMax;
  Check((answer.result == Result::kCell) == has_cell);
  Check(status == 200 || !has_cell);
}

std::string Decoded(std::string_view path) {
  std::string text;
  for (size_t i = 0; i < path.size(); ++i) {
    Check(path[i] == '%' || std::isgraph(static_cast<unsigned char>(path[i])) != 0);
    if (path[i] != '%') {
      text += path[i];
      continue;
    }
    text += static_cast<char>(std::stoi(std::string(path.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return text;
}

void Ask(std::string_view flag, std::string_view text) {
  Inquiry inquiry;
  inquiry.flag = flag;
  inquiry.unit = text;
  inquiry.context = {{"country", std::string(flag)}, {"segments", std::string(text)}};
  if (!signalbox::allocate::CanBeSent(inquiry)) return;
  constexpr std::string_view kFolder = "/ofrep/v1/evaluate/flags/";
  const std::string path = signalbox::allocate::OfrepPath(flag);
  Check(path.starts_with(kFolder) && path.find('/', kFolder.size()) == std::string::npos);
  Check(Decoded(std::string_view(path).substr(kFolder.size())) == flag);
  const nlohmann::json context = nlohmann::json::parse(signalbox::allocate::OfrepBody(inquiry)).at("context");
  Check(context.at("targetingKey") == std::string(text) && context.at("country") == std::string(flag));
  Check(context.at("segments") == nlohmann::json(signalbox::allocate::WordsOf(text)));
}

}  // namespace

// The first line is the header, or the flag; the first byte behind it says which status the body comes with.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kStatuses[] = {200, 200, 200, 200, 400, 401, 404, 429, 302, 500, 204, 0};
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view first = all.substr(0, all.find('\n'));
  const std::string_view rest = all.substr(std::min(size, first.size() + 1));
  Read(200, all, all);
  if (!rest.empty()) Read(kStatuses[static_cast<uint8_t>(rest[0]) % std::size(kStatuses)], first, rest.substr(1));
  Ask(first, rest);
  return 0;
}
