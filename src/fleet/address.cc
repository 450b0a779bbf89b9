#include "fleet/address.h"

#include <fmt/format.h>

#include <charconv>

#include "base/printable.h"
#include "base/status.h"

namespace signalbox::fleet {
namespace {

constexpr size_t kAddressesMax = 16;
constexpr size_t kAddressBytesMax = 300;  // a name has 253 at most

bool IsPort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

bool IsHost(std::string_view host) {
  constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  if (!host.starts_with('[')) return !host.empty() && host.find_first_not_of(kNameCharacters) == std::string_view::npos;
  return host.size() > 2 && host.back() == ']' &&
         host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

}  // namespace

absl::Status CheckAddress(std::string_view what, std::string_view address) {
  const size_t colon = address.rfind(':');
  if (address.size() <= kAddressBytesMax && colon != std::string_view::npos && IsHost(address.substr(0, colon)) &&
      IsPort(address.substr(colon + 1))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: '{}', expected HOST:PORT or [IPv6]:PORT with a port from 1 to 65535", what,
                  EscapeControlCharacters(address.substr(0, kAddressBytesMax))));
}

absl::StatusOr<std::vector<std::string>> ReadAddresses(std::string_view what, std::string_view list) {
  std::vector<std::string> addresses;
  while (true) {
    const size_t comma = list.find(',');
    addresses.emplace_back(list.substr(0, comma));
    RETURN_IF_ERROR(CheckAddress(what, addresses.back()));
    if (addresses.size() > kAddressesMax) {
      return absl::InvalidArgumentError(fmt::format("{}: more than {} addresses", what, kAddressesMax));
    }
    if (comma == std::string_view::npos) return addresses;
    list.remove_prefix(comma + 1);
  }
}

bool IsAnyInterface(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "0.0.0.0" || host == "[::]" || host == "::" || host == "*";
}

}  // namespace signalbox::fleet
