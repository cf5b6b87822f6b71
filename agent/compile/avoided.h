// SPDX-License-Identifier: Apache-2.0
// Backends that are not to be chosen now though their endpoints are ready, each with who says so and why.  Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/model/service.h"

namespace cortexflow::compile {

enum class AvoidedBy : std::uint8_t {
  kCheck,     // an active health check
  kEjection,  // failures of real connections
  kDrain,     // the operator
};

// "unhealthy", "ejected", "drained"
[[nodiscard]] const char* avoided_name(AvoidedBy by);

struct BackendPort {
  model::IpAddress address;
  std::uint16_t port = 0;
  model::Protocol protocol = model::Protocol::kTcp;
  auto operator<=>(const BackendPort&) const = default;
};

// In words; one a party, so that several may avoid a backend and each takes back its own.
using AvoidedReasons = std::map<AvoidedBy, std::string>;

// Of one service: the same address may be well for one service and ill for another.
using AvoidedBackends = std::map<BackendPort, AvoidedReasons>;

// What is left of a service's ready backends.
struct Availability {
  std::vector<bool> choosable;  // by the backends' places
  std::size_t ready = 0;        // that have a share and are not drained
  std::size_t left = 0;         // of these, that nothing speaks against
  bool panic = false;           // too few are left: all that are not drained are choosable
};

// `reasons[i]`: null where nothing speaks against the backend.  `shares[i]`: a backend without one takes no callers, so
// says nothing about how many are left.  Panic where less than `panic_percent` of the ready ones would be left: checks
// that fail nearly everywhere say more about the checks, or that the rest would break under the load, than about the
// backends.  With 0 there is none.
[[nodiscard]] Availability availability(const std::vector<const AvoidedReasons*>& reasons,
                                        const std::vector<std::uint64_t>& shares, std::uint32_t panic_percent);

}  // namespace cortexflow::compile
