// SPDX-License-Identifier: Apache-2.0
// Names of DNS numbers, as IANA's registry "Domain Name System (DNS) Parameters" has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cortexflow::protocol::dns {

// "AAAA"; a type without a name is "TYPE65280" and a class without one "CLASS7" (RFC 3597 5).
std::string type_name(std::uint16_t type);
std::string class_name(std::uint16_t dns_class);
// "NXDOMAIN", or in the same manner "RCODE12".
std::string rcode_name(std::uint16_t rcode);

bool type_has_name(std::uint16_t type);
bool rcode_has_name(std::uint16_t rcode);

// The name in any case, "TYPE65", "65"; "*" is ANY.  Nothing for what is none of these.
std::optional<std::uint16_t> parse_type(std::string_view text);
// The name in any case, "RCODE12", "12".
std::optional<std::uint16_t> parse_rcode(std::string_view text);

}  // namespace cortexflow::protocol::dns
