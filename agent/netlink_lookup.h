// SPDX-License-Identifier: Apache-2.0
// Single questions to the kernel about this network namespace, by rtnetlink.
#pragma once

#include <optional>
#include <string>

#include "agent/model/ip_address.h"

namespace cortexflow {

// The interface by which this machine would send to the address; none: there is no route, or the address is its own.
[[nodiscard]] std::optional<std::string> route_towards(const model::IpAddress& address);

// The bridge, or other device, that the interface is a port of.
[[nodiscard]] std::optional<std::string> master_of(const std::string& interface);

}  // namespace cortexflow
