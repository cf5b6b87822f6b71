// SPDX-License-Identifier: Apache-2.0
// Single questions to the kernel about this network namespace, by rtnetlink, and one request.
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"
#include "agent/model/ip_address.h"

namespace cortexflow {

// The interface by which this machine would send to the address; none: there is no route, or the address is its own.
[[nodiscard]] std::optional<std::string> route_towards(const model::IpAddress& address);

// Who on the interface's link gets what is sent to an address: a router, or the address itself.
struct NextHop {
  int interface = 0;  // its index
  model::IpAddress address;
  auto operator<=>(const NextHop&) const = default;
};

// None: there is no route, or the address is this machine's own.
[[nodiscard]] std::optional<NextHop> next_hop_towards(const model::IpAddress& address);

// Has the kernel find out the link address of that neighbour, or confirm the one that it has, as if something were sent
// there (NTF_USE); the neighbour's answer is not awaited.
[[nodiscard]] Result<void> ask_for_neighbour(const NextHop& hop);

// The bridge, or other device, that the interface is a port of.
[[nodiscard]] std::optional<std::string> master_of(const std::string& interface);

}  // namespace cortexflow
