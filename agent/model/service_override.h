// SPDX-License-Identifier: Apache-2.0
// What an operator has set on top of the manifests while a service runs.  Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "agent/model/ip_address.h"
#include "agent/model/service.h"

namespace cortexflow::model {

struct BackendAddress {
  IpAddress address;
  std::uint16_t port = 0;
  auto operator<=>(const BackendAddress&) const = default;
};

struct ServiceOverride {
  std::map<std::string, std::uint32_t> subset_weights;  // by the subset's name
  std::map<BackendAddress, std::uint32_t> backend_weights;
  std::set<BackendAddress> drained;  // get no new connections

  [[nodiscard]] bool empty() const { return subset_weights.empty() && backend_weights.empty() && drained.empty(); }
  bool operator==(const ServiceOverride&) const = default;
};

using ServiceOverrides = std::map<ObjectName, ServiceOverride>;  // none is empty

}  // namespace cortexflow::model
