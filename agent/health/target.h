// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>

#include "agent/model/ip_address.h"
#include "agent/model/service.h"

namespace cortexflow::health {

// What is asked, and how.  Backends of several services that are asked alike are one target.
struct Target {
  model::IpAddress address;
  std::uint16_t port = 0;
  model::HealthCheck check;
  auto operator<=>(const Target&) const = default;
};

}  // namespace cortexflow::health
