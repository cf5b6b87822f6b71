// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/model/ip_address.h"

namespace cortexflow {

struct InterfaceAddress {
  std::string interface;
  model::IpAddress address;
};

// This machine's own addresses in this network namespace, but loopback's and link-local ones.
[[nodiscard]] std::vector<InterfaceAddress> interface_addresses();

}  // namespace cortexflow
