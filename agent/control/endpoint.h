// SPDX-License-Identifier: Apache-2.0
// An address with or without a port, as a person writes it: 192.0.2.1, 192.0.2.1:53, ::1, [::1]:53.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/model/ip_address.h"

namespace cortexflow::control {

struct Endpoint {
  model::IpAddress address;
  std::optional<std::uint16_t> port;
};

[[nodiscard]] std::optional<Endpoint> parse_endpoint(const std::string& text);
// With brackets around an IPv6 address.
[[nodiscard]] std::string endpoint_text(const std::string& address, std::uint16_t port);

}  // namespace cortexflow::control
