// SPDX-License-Identifier: Apache-2.0
// Services' healthCheckNodePorts: where load balancers ask each node whether it has endpoints of its own, under
// externalTrafficPolicy: Local.  Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/compile/service_plan.h"

namespace cortexflow::compile {

// Each is a socket; the files that a process may have open are usually 1,024.
inline constexpr std::size_t kHealthPortsMax = 256;

struct HealthPort {
  std::uint16_t port = 0;
  std::optional<std::chrono::system_clock::time_point> created;  // the service
  std::size_t endpoints = 0;                                     // of this node that take new callers
  bool operator==(const HealthPort&) const = default;
};

// None: the service has no such port.  Endpoints count by their addresses, in the family that has more: one that is
// dual-stack counts once.  They are ready and not ending, and no operator drains them at all of the service's ports;
// what checks and ejection say is of this node alone and may pass, so that it speaks against nobody here.
[[nodiscard]] std::optional<HealthPort> plan_health_port(const ServiceInput& input, const NodeContext& node);

// Who has which port.  A port stays with who has it; one that nobody has gets the service that is older, or else the
// first by name.  There are so many at most; those that have theirs keep it.
class HealthPortBook {
 public:
  using Plans = std::map<model::ObjectName, std::optional<HealthPort>>;

  // `reserved` is no service's; 0: all may be.
  explicit HealthPortBook(std::uint16_t reserved = 0, std::size_t max = kHealthPortsMax)
      : reserved_(reserved), max_(max) {}

  // New plans of these services; none takes one out.
  void update(const Plans& changed);

  struct Holder {
    model::ObjectName service;
    std::size_t endpoints = 0;
  };
  [[nodiscard]] const std::map<std::uint16_t, Holder>& ports() const { return ports_; }
  // Services that wished for one and have none, each with the reason in words.
  [[nodiscard]] const std::map<model::ObjectName, std::string>& refusals() const { return refusals_; }

 private:
  void assign();

  std::uint16_t reserved_;
  std::size_t max_;
  std::map<model::ObjectName, HealthPort> wishes_;
  std::map<std::uint16_t, Holder> ports_;
  std::map<model::ObjectName, std::string> refusals_;
};

}  // namespace cortexflow::compile
