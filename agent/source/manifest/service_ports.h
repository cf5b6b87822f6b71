// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "agent/model/service.h"
#include "agent/source/manifest/field.h"

namespace cortexflow::source {

inline constexpr std::size_t kPortsMax = 1000;  // of one object; ours: the API server has a limit on octets only
inline constexpr std::int64_t kPortMax = 65535;

// TCP where absent.
[[nodiscard]] model::Protocol read_protocol(const Field& field);

// spec.ports of a Service.
[[nodiscard]] std::vector<model::ServicePort> read_service_ports(const Field& ports, model::ServiceType type,
                                                                 bool required);

}  // namespace cortexflow::source
