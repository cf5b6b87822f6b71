// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "agent/model/ip_address.h"

namespace cortexflow {

// The interface by which this machine would send to the address, in this network namespace; none: there is no route, or
// the address is its own.
[[nodiscard]] std::optional<std::string> route_towards(const model::IpAddress& address);

}  // namespace cortexflow
