// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "agent/model/ip_address.h"

namespace cortexflow::model {

struct Cidr {
  IpAddress prefix;         // zeros behind the length
  std::uint8_t length = 0;  // in its own family: 0 to 32, or 0 to 128

  // "198.51.100.0/24"
  [[nodiscard]] std::string to_string() const { return prefix.to_string() + "/" + std::to_string(length); }
  // Of the 128 that the octets have.
  [[nodiscard]] unsigned bits() const { return length + (prefix.is_v4() ? 96U : 0U); }
  // A prefix of IPv6 has no IPv4 in it, though ::/0 would cover ::ffff:0:0/96.
  [[nodiscard]] bool covers(const IpAddress& address) const {
    if (address.is_v4() != prefix.is_v4()) return false;
    for (unsigned bit = 0; bit < bits(); ++bit) {
      const unsigned mask = 0x80U >> (bit % 8);
      if ((address.octets[bit / 8] & mask) != (prefix.octets[bit / 8] & mask)) return false;
    }
    return true;
  }
  auto operator<=>(const Cidr&) const = default;
};

}  // namespace cortexflow::model
