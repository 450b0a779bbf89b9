#include "proxy/grpc_protocol.h"

#include <array>
#include <charconv>
#include <utility>

namespace signalbox::proxy {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kTimeoutMax = std::chrono::hours(24 * 365);
constexpr size_t kTimeoutDigitsMax = 8;
constexpr int64_t kTimeoutValueMax = 99'999'999;
// Long enough for every field that is wrong in a rule's request; a header of kilobytes would be refused by clients.
constexpr size_t kMessageBytesMax = 1024;

struct Unit {
  char name;
  nanoseconds duration;
};
constexpr std::array<Unit, 6> kUnits = {{{'n', nanoseconds(1)},
                                         {'u', std::chrono::microseconds(1)},
                                         {'m', std::chrono::milliseconds(1)},
                                         {'S', std::chrono::seconds(1)},
                                         {'M', std::chrono::minutes(1)},
                                         {'H', std::chrono::hours(1)}}};

constexpr std::string_view kInferenceService = "/inference.GRPCInferenceService/";
constexpr std::array<std::pair<std::string_view, BodyKind>, 10> kInferenceMethods = {{
    {"ModelInfer", BodyKind::kInfer},
    {"ModelStreamInfer", BodyKind::kInfer},
    {"ModelReady", BodyKind::kModel},
    {"ModelMetadata", BodyKind::kModel},
    {"ServerLive", BodyKind::kServerLive},
    {"ServerReady", BodyKind::kServerReady},
    {"ServerMetadata", BodyKind::kServerMetadata},
    {"RepositoryIndex", BodyKind::kRefused},
    {"RepositoryModelLoad", BodyKind::kRefused},
    {"RepositoryModelUnload", BodyKind::kRefused},
}};

}  // namespace

std::optional<nanoseconds> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kTimeoutDigitsMax + 1) return std::nullopt;
  int64_t value = 0;
  for (char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + (digit - '0');
  }
  for (const Unit& unit : kUnits) {
    if (unit.name != text.back()) continue;
    return value > kTimeoutMax / unit.duration ? kTimeoutMax : value * unit.duration;
  }
  return std::nullopt;
}

std::string_view FormatGrpcTimeout(nanoseconds timeout, char* out) {
  if (timeout < nanoseconds(0)) timeout = nanoseconds(0);
  const Unit* unit = kUnits.data();
  while (timeout / unit->duration > kTimeoutValueMax) ++unit;
  char* end = std::to_chars(out, out + kTimeoutDigitsMax, timeout / unit->duration).ptr;
  *end++ = unit->name;
  return {out, static_cast<size_t>(end - out)};
}

std::string EncodeGrpcMessage(std::string_view message) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : message.substr(0, kMessageBytesMax)) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

int ParseGrpcStatus(std::string_view text) {
  constexpr int kUnknown = 2;
  constexpr int kLast = 16;
  int status = kUnknown;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  return error == std::errc() && end == text.data() + text.size() && status >= 0 && status <= kLast ? status : kUnknown;
}

int GrpcStatusOfHttp(int http_status) {
  switch (http_status) {
    case 400:
      return static_cast<int>(absl::StatusCode::kInternal);
    case 401:
      return static_cast<int>(absl::StatusCode::kUnauthenticated);
    case 403:
      return static_cast<int>(absl::StatusCode::kPermissionDenied);
    case 404:
      return static_cast<int>(absl::StatusCode::kUnimplemented);
    case 429:
    case 502:
    case 503:
    case 504:
      return static_cast<int>(absl::StatusCode::kUnavailable);
    default:
      return static_cast<int>(absl::StatusCode::kUnknown);
  }
}

BodyKind BodyKindOfMethod(std::string_view path) {
  if (path == "/signalbox.v1.ModelServing/Serve") return BodyKind::kServe;
  if (!path.starts_with(kInferenceService)) return BodyKind::kOpaque;
  path.remove_prefix(kInferenceService.size());
  for (const auto& [method, kind] : kInferenceMethods) {
    if (method == path) return kind;
  }
  return BodyKind::kOpaque;
}

bool IsInferenceStream(std::string_view path) {
  return path.starts_with(kInferenceService) && path.substr(kInferenceService.size()) == "ModelStreamInfer";
}

std::array<char, 5> MessagePrefix(uint32_t message_bytes) {
  std::array<char, 5> prefix{};
  for (size_t i = prefix.size(); i-- > 1; message_bytes >>= 8) prefix[i] = static_cast<char>(message_bytes);
  return prefix;
}

uint32_t ObjectiveField(BodyKind kind) {
  return kind == BodyKind::kInfer || kind == BodyKind::kModel || kind == BodyKind::kServe ? 1 : 0;
}

}  // namespace signalbox::proxy
