// SPDX-License-Identifier: Apache-2.0
#include "agent/model/address_port.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace cortexflow::model {
namespace {

std::optional<IpAddress> parse_v4(const std::string& text) {
  IpAddress address;
  address.octets[10] = address.octets[11] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), address.octets.data() + 12) != 1) return std::nullopt;
  return address;
}

std::optional<IpAddress> parse_v6(const std::string& text) {
  IpAddress address;
  if (inet_pton(AF_INET6, text.c_str(), address.octets.data()) != 1) return std::nullopt;
  return address;
}

std::optional<AddressPort> with_port(std::optional<IpAddress> address, std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (!address || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return AddressPort{*address, port};
}

}  // namespace

std::optional<AddressPort> parse_address_port(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;  // inet_pton would stop there
  if (const auto address = parse_v4(text)) return AddressPort{*address, std::nullopt};
  if (const auto address = parse_v6(text)) return AddressPort{*address, std::nullopt};
  if (const auto bracket = text.find("]:"); text.starts_with('[') && bracket != std::string::npos) {
    return with_port(parse_v6(text.substr(1, bracket - 1)), std::string_view(text).substr(bracket + 2));
  }
  const auto colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return with_port(parse_v4(text.substr(0, colon)), std::string_view(text).substr(colon + 1));
}

bool AddressPort::covers(const IpAddress& other, std::uint16_t other_port) const {
  return address == other && port.value_or(other_port) == other_port;
}

std::string address_port_text(const IpAddress& address, std::uint16_t port) {
  return address_port_text(address.to_string(), port);
}

std::string address_port_text(const std::string& address, std::uint16_t port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

}  // namespace cortexflow::model
