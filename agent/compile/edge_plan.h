// SPDX-License-Identifier: Apache-2.0
// What a service means to those outside: its node ports, load balancer and external addresses, and who stands behind
// them.  Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/compile/service_plan.h"
#include "agent/model/cidr.h"
#include "bpf/abi/edge.h"

namespace cortexflow::compile {

struct EdgeBackend {
  Backend backend;
  std::uint64_t weight = 1;
  bool local = false;     // on this node
  bool draining = false;  // keeps its flows, gets no new ones
  auto operator<=>(const EdgeBackend&) const = default;
};

// One port of a service in one address family.
struct EdgePlan {
  model::ObjectName service;
  std::uint16_t port = 0;  // of the service, not of node ports
  model::Protocol protocol = model::Protocol::kTcp;
  std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends;  // sorted, not empty
  // Of these, those that clients in `ranges` alone may ask: a load balancer's addresses.  Both sorted.
  std::vector<std::pair<model::IpAddress, std::uint16_t>> limited;
  std::vector<model::Cidr> ranges;  // of the plan's family; none: nobody may
  cf_edge_mode mode = CF_EDGE_NAT;
  bool by_client = false;             // ClientIP affinity
  std::vector<EdgeBackend> backends;  // sorted by address; none: what comes is dropped
  bool operator==(const EdgePlan&) const = default;
};

struct EdgePlanOptions {
  cf_edge_mode mode = CF_EDGE_NAT;  // how packets are sent on to other nodes
};

// Plans of the ports that can be reached from outside.  Under externalTrafficPolicy: Local, of this node's endpoints
// alone.
[[nodiscard]] std::vector<EdgePlan> plan_edge(const ServiceInput& input, const NodeContext& node,
                                              const EdgePlanOptions& options = {});

}  // namespace cortexflow::compile
