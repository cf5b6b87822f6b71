// SPDX-License-Identifier: Apache-2.0
// An address with or without a port, as a person writes it: 192.0.2.1, 192.0.2.1:53, ::1, [::1]:53.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/model/ip_address.h"

namespace cortexflow::model {

struct AddressPort {
  IpAddress address;
  std::optional<std::uint16_t> port;

  // It is that one, or all ports of its address.
  [[nodiscard]] bool covers(const IpAddress& other, std::uint16_t other_port) const;
};

[[nodiscard]] std::optional<AddressPort> parse_address_port(const std::string& text);
// With brackets around an IPv6 address; the address is as to_string() has it.
[[nodiscard]] std::string address_port_text(const IpAddress& address, std::uint16_t port);
[[nodiscard]] std::string address_port_text(const std::string& address, std::uint16_t port);

}  // namespace cortexflow::model
