// SPDX-License-Identifier: Apache-2.0
#include "agent/source/manifest/address.h"

#include <algorithm>

namespace cortexflow::source {

std::optional<model::IpAddress> read_address(const Field& field) {
  const std::string text = field.required_text();
  const auto address = model::IpAddress::parse(text);
  if (!address) {
    field.expected("an IP address");
  } else if (address->is_v4() && text.find(':') != std::string::npos) {
    field.expected("an IPv4 address in dotted form");
    return std::nullopt;
  }
  return address;
}

void refuse_special(const Field& field, const model::IpAddress& address) {
  const auto& octets = address.octets;
  const std::uint8_t* v4 = octets.data() + 12;
  const bool zero = std::all_of(octets.begin(), octets.end() - 1, [](std::uint8_t octet) { return octet == 0; });
  const bool v4_special = v4[0] == 127 || (v4[0] == 169 && v4[1] == 254) ||
                          (v4[0] == 224 && v4[1] == 0 && v4[2] == 0) || (v4[0] + v4[1] + v4[2] + v4[3] == 0);
  const bool v6_special = (zero && octets[15] <= 1) || (octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80) ||
                          (octets[0] == 0xff && (octets[1] & 0x0f) == 0x02);
  if (address.is_v4() ? v4_special : v6_special) {
    field.expected("an address that is not unspecified, loopback, link-local or link-local multicast");
  }
}

}  // namespace cortexflow::source
