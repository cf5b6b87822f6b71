// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "agent/model/ip_address.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

// An address; refused otherwise, and if it is IPv4 written as IPv6 (the API server's rule).
[[nodiscard]] std::optional<model::IpAddress> read_address(const Field& field);

// Refuses addresses that no service or endpoint may have: unspecified, loopback, link-local, multicast of the link.
void refuse_special(const Field& field, const model::IpAddress& address);

}  // namespace cortexflow::source
