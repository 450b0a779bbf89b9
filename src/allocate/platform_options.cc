#include "allocate/platform_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "base/status.h"

namespace signalbox::allocate {
namespace {

constexpr size_t kPlatformsMax = 32;
constexpr size_t kTokenBytesMax = 8 << 10;
constexpr int kPortMax = 65'535;

struct Setting {
  std::string name;
  std::string value;
};

absl::StatusOr<Setting> Split(std::string_view option, const std::string& text, std::string_view expected) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return absl::InvalidArgumentError(fmt::format("{} \"{}\": expected {}", option, text, expected));
  }
  return Setting{text.substr(0, equals), text.substr(equals + 1)};
}

bool IsName(const std::string& text) {
  constexpr size_t kNameBytesMax = 200;
  return text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

// "HOST:PORT", "[IPv6]:PORT".
bool IsHostAndPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const std::string port(text.substr(colon + 1));
  const bool is_ipv6 = host.front() == '[' && host.back() == ']';
  if (!is_ipv6 && host.find(':') != std::string_view::npos) return false;
  constexpr size_t kPortDigitsMax = 5;
  return host.find_first_of("/@? \t") == std::string_view::npos && !port.empty() && port.size() <= kPortDigitsMax &&
         port.find_first_not_of("0123456789") == std::string::npos && std::stoi(port) > 0 &&
         std::stoi(port) <= kPortMax;
}

// The URL without a slash at its end; empty when it is none.
std::string BaseUrl(std::string_view text) {
  std::string_view rest = text;
  const bool is_https = rest.starts_with("https://");
  if (!is_https && !rest.starts_with("http://")) return "";
  rest.remove_prefix(is_https ? 8 : 7);
  const std::string_view host = rest.substr(0, rest.find('/'));
  const std::string_view path = rest.substr(host.size());
  // Who calls a platform by name alone means the protocol's own port.
  const bool host_ok = IsHostAndPort(host) || IsHostAndPort(std::string(host) + ":80");
  const bool path_ok = std::all_of(path.begin(), path.end(), [](unsigned char c) { return c > ' ' && c < 127; }) &&
                       path.find_first_of("?#") == std::string_view::npos;
  if (!host_ok || !path_ok) return "";
  while (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

absl::StatusOr<PlatformOptions> ParsePlatform(const std::string& text) {
  constexpr std::string_view kExpected = "NAME=ofrep:http://HOST:PORT[/BASE] or NAME=grpc:HOST:PORT";
  ASSIGN_OR_RETURN(const Setting setting, Split("--platform", text, kExpected));
  PlatformOptions options;
  options.name = setting.name;
  const std::string_view value = setting.value;
  if (value.starts_with("ofrep:")) {
    options.protocol = PlatformOptions::Protocol::kOfrep;
    options.address = BaseUrl(value.substr(6));
  } else if (value.starts_with("grpc:") && IsHostAndPort(value.substr(5))) {
    options.protocol = PlatformOptions::Protocol::kGrpc;
    options.address = value.substr(5);
  }
  if (options.address.empty()) {
    return absl::InvalidArgumentError(fmt::format("--platform \"{}\": expected {}", text, kExpected));
  }
  if (!IsName(options.name)) {
    return absl::InvalidArgumentError(
        fmt::format("--platform \"{}\": the name has letters, digits, '.', '_' and '-', 200 at most", text));
  }
  return options;
}

absl::StatusOr<PlatformOptions*> Find(std::vector<PlatformOptions>& platforms, std::string_view option,
                                      const Setting& setting) {
  for (PlatformOptions& platform : platforms) {
    if (platform.name == setting.name) return &platform;
  }
  return absl::InvalidArgumentError(
      fmt::format("{} {}=...: there is no --platform {}=...", option, setting.name, setting.name));
}

// "localhost", 127.0.0.0/8, [::1]. `address` as in PlatformOptions, without its scheme.
bool IsLoopback(std::string_view address) {
  const std::string_view host =
      address.substr(0, address.starts_with('[') ? address.find(']') + 1 : address.find_first_of(":/"));
  const bool is_ipv4 = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "[::1]" || (is_ipv4 && host.starts_with("127."));
}

}  // namespace

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  ASSIGN_OR_RETURN(std::string token, ReadFile(path, kTokenBytesMax));
  token.resize(std::min(token.size(), token.find_first_of("\r\n")));
  const bool ok = std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > ' ' && c < 127; });
  if (token.empty() || !ok) {
    return absl::InvalidArgumentError(
        fmt::format("{}: expected a bearer token in the first line, printable and without spaces", path));
  }
  return token;
}

std::vector<std::string> PlainTokenWarnings(const std::vector<PlatformOptions>& platforms) {
  constexpr std::string_view kHttp = "http://";
  std::vector<std::string> warnings;
  for (const PlatformOptions& platform : platforms) {
    if (platform.token.empty() || platform.address.starts_with("https://")) continue;
    std::string_view address = platform.address;
    if (address.starts_with(kHttp)) address.remove_prefix(kHttp.size());
    if (IsLoopback(address)) continue;
    warnings.push_back(
        fmt::format("platform {}: its token goes to {} without encryption, and who listens on the way has it; use "
                    "https, or a proxy "
                    "on this machine that does",
                    platform.name, platform.address));
  }
  return warnings;
}

absl::StatusOr<std::vector<PlatformOptions>> ParsePlatforms(const std::vector<std::string>& platforms,
                                                            const std::vector<std::string>& tokens,
                                                            const std::vector<std::string>& attributes) {
  std::vector<PlatformOptions> parsed;
  if (platforms.size() > kPlatformsMax) {
    return absl::InvalidArgumentError(
        fmt::format("--platform is there {} times: expected at most {}", platforms.size(), kPlatformsMax));
  }
  for (const std::string& text : platforms) {
    ASSIGN_OR_RETURN(PlatformOptions options, ParsePlatform(text));
    const bool twice = std::any_of(parsed.begin(), parsed.end(),
                                   [&](const PlatformOptions& other) { return other.name == options.name; });
    if (twice) return absl::InvalidArgumentError(fmt::format("--platform {}=... is there twice", options.name));
    parsed.push_back(std::move(options));
  }
  for (const std::string& text : tokens) {
    ASSIGN_OR_RETURN(const Setting setting, Split("--platform-token", text, "NAME=FILE"));
    ASSIGN_OR_RETURN(PlatformOptions * platform, Find(parsed, "--platform-token", setting));
    ASSIGN_OR_RETURN(platform->token, ReadToken(setting.value));
    platform->token_file = setting.value;
  }
  for (const std::string& text : attributes) {
    ASSIGN_OR_RETURN(const Setting setting, Split("--platform-attributes", text, "NAME=KEY,KEY..."));
    ASSIGN_OR_RETURN(PlatformOptions * platform, Find(parsed, "--platform-attributes", setting));
    for (size_t at = 0; at <= setting.value.size();) {
      const size_t end = std::min(setting.value.find(',', at), setting.value.size());
      if (end > at) platform->attributes.push_back(setting.value.substr(at, end - at));
      at = end + 1;
    }
  }
  return parsed;
}

}  // namespace signalbox::allocate
