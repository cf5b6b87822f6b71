// SPDX-License-Identifier: Apache-2.0
// What a service means on this node: which addresses it has, and which backends stand behind each with which share.
// Pure: no numbers of the kernel's tables yet, no system call, no clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/compile/avoided.h"
#include "agent/model/service.h"
#include "agent/model/service_override.h"
#include "bpf/abi/service.h"

namespace cortexflow::compile {

struct NodeContext {
  std::string name;
  std::string zone;
  std::vector<model::IpAddress> addresses;  // where node ports answer
};

// A service with everything that its meaning depends on.
struct ServiceInput {
  const model::Service* service = nullptr;
  std::vector<const model::EndpointSlice*> slices;
  const model::TrafficPolicy* policy = nullptr;  // null: none
  // Of the endpoints' targetRefs; those that are not known have no labels and weight 1.
  std::map<model::ObjectName, const model::Pod*> pods;
  const AvoidedBackends* avoided = nullptr;     // null: none
  std::set<BackendPort> probation{};            // get one connection at a time (agent/health/outlier.h)
  const model::ServiceOverride* set = nullptr;  // by the operator, on top of policy and pods; null: nothing
};

using Backend = model::BackendAddress;

// Slots in their order: a backend that is there n times of m gets n of m callers.  Without repetition where all have
// the same share.
using Slots = std::vector<Backend>;

// One port of a service in one address family.
struct ServicePlan {
  model::ObjectName service;
  std::uint16_t port = 0;  // of the service, not of node ports
  std::string port_name;
  model::Protocol protocol = model::Protocol::kTcp;
  std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends;  // the cluster IPs' first
  std::size_t cluster_frontends = 0;  // so many: they are the service's own, though another names them from outside
  std::optional<std::chrono::system_clock::time_point> created;
  cf_svc_algorithm algorithm = CF_SVC_ROUND_ROBIN;
  std::uint32_t affinity_s = 0;
  model::CircuitBreaker circuit_breaker{};
  Slots slots;                              // empty: connecting is refused
  std::map<std::string, Slots> by_version;  // for callers of that version; not empty
  // Ready, but something speaks against them.  They are in the slots all the same where `panic` is set, but the
  // drained.
  std::map<Backend, AvoidedReasons> avoided;
  // Ready, but in no table as they have no share: they keep the connections that they have, and their counts.
  std::set<Backend> resting;
  std::set<Backend> probation;  // in the slots, but one connection at a time is all they get
  // UDP: those that have not left, though they may get no new callers.  Sockets that are connected to one stay with it.
  // Sorted.
  std::vector<Backend> members;
  bool panic = false;               // fewer than the policy's panicThreshold would be left...
  std::size_t ready = 0, left = 0;  // ...of so many (compile/avoided.h)
};

// The plans of all ports, and in words what of the service or its policy could not be done.
struct PlannedService {
  std::vector<ServicePlan> plans;
  std::vector<std::string> refusals;
};

// Where the service's node ports answer: this node's addresses of the families that its ClusterIPs have.
[[nodiscard]] std::vector<model::IpAddress> node_port_addresses(const model::Service& service, const NodeContext& node);

// Those that take callers of this node unless something speaks against them: of all ports and families, each once.
[[nodiscard]] std::vector<BackendPort> ready_backends(const ServiceInput& input, const NodeContext& node);

[[nodiscard]] PlannedService plan_service(const ServiceInput& input, const NodeContext& node);

}  // namespace cortexflow::compile
