// SPDX-License-Identifier: Apache-2.0
#include "agent/model/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace cortexflow::model {

bool IpAddress::is_v4() const {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), octets.begin());
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return octets[12] == 127;
  const auto last = octets.end() - 1;
  return *last == 1 && std::all_of(octets.begin(), last, [](auto octet) { return octet == 0; });
}

std::optional<IpAddress> IpAddress::parse(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;  // inet_pton would stop there
  IpAddress address;
  if (inet_pton(AF_INET6, text.c_str(), address.octets.data()) == 1) return address;
  address.octets[10] = address.octets[11] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), address.octets.data() + 12) == 1) return address;
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4()) {
    inet_ntop(AF_INET, octets.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, octets.data(), text, sizeof text);
  }
  return text;
}

}  // namespace cortexflow::model
