// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "agent/model/cidr.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// "198.51.100.0/24", or one address.
[[nodiscard]] std::optional<model::Cidr> parse_cidr(const std::string& text);

// Octets behind the prefix that are not zero: a mistake more often than not, or left out as the API server does, which
// in some fields lets spaces around the address stand as well.
enum class HostBits : std::uint8_t { kRefused, kDropped };

// The same; refused otherwise.
[[nodiscard]] model::Cidr read_cidr(const Field& field, HostBits host_bits = HostBits::kRefused);

}  // namespace cortexflow::source
