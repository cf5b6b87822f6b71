// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace cortexflow::model {

// 16 octets in network order; IPv4 is ::ffff:a.b.c.d (RFC 4291 2.5.5.2).
struct IpAddress {
  std::array<std::uint8_t, 16> octets{};

  // Of what to_string() writes, and other IPv6 spellings (RFC 4291 2.2).  No zone, no leading zeros.
  [[nodiscard]] static std::optional<IpAddress> parse(const std::string& text);

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;  // 127.0.0.0/8, ::1
  // "192.0.2.1" or RFC 5952 text.
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;
};

}  // namespace cortexflow::model
