// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/edge_plan.h"

#include <algorithm>
#include <map>

namespace cortexflow::compile {
namespace {

using model::Endpoint;
using model::Service;
using model::ServiceType;
using model::TrafficScope;

std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends_of(const Service& service,
                                                                     const model::ServicePort& port, bool v4,
                                                                     const NodeContext& node) {
  std::vector<std::pair<model::IpAddress, std::uint16_t>> out;
  const auto add = [&](const std::vector<model::IpAddress>& addresses, std::uint16_t number) {
    for (const auto& address : addresses) {
      if (address.is_v4() == v4 && number != 0) out.emplace_back(address, number);
    }
  };
  add(service.external_ips, port.port);
  if (service.type == ServiceType::kLoadBalancer) add(service.load_balancer_ips, port.port);
  if (service.type == ServiceType::kLoadBalancer || service.type == ServiceType::kNodePort) {
    add(node.addresses, port.node_port);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::uint64_t weight_of(const ServiceInput& input, const Endpoint& endpoint) {
  if (!input.policy || input.policy->algorithm != model::Algorithm::kWeighted) return 1;
  const auto pod = input.pods.find(endpoint.pod);
  return pod == input.pods.end() ? 1 : pod->second->weight;
}

// Endpoints of that port and family.  Those that end but still serve drain, unless there is nobody else (KEP-1669).
std::vector<EdgeBackend> backends_of(const ServiceInput& input, const model::ServicePort& port, bool v4,
                                     const NodeContext& node) {
  std::map<Backend, EdgeBackend> found;
  for (const auto* slice : input.slices) {
    for (const auto& slice_port : slice->ports) {
      if (slice_port.name != port.name || slice_port.protocol != port.protocol) continue;
      for (const auto& endpoint : slice->endpoints) {
        const bool local = endpoint.node == node.name;
        if (endpoint.address.is_v4() != v4) continue;
        if (input.service->external_scope == TrafficScope::kLocal && !local) continue;
        const bool takes = (endpoint.ready || input.service->publish_not_ready) && !endpoint.terminating;
        if (!takes && !(endpoint.serving && endpoint.terminating)) continue;
        const EdgeBackend one{{endpoint.address, slice_port.port}, weight_of(input, endpoint), local, !takes};
        // In two slices for a moment (discovery/v1): the one that is ready counts.
        const auto [at, fresh] = found.emplace(one.backend, one);
        if (!fresh && at->second.draining) at->second = one;
      }
    }
  }
  std::vector<EdgeBackend> out;
  for (const auto& [key, backend] : found) out.push_back(backend);
  if (std::all_of(out.begin(), out.end(), [](const auto& b) { return b.draining; })) {
    for (auto& backend : out) backend.draining = false;
  }
  return out;
}

}  // namespace

std::vector<EdgePlan> plan_edge(const ServiceInput& input, const NodeContext& node, const EdgePlanOptions& options) {
  std::vector<EdgePlan> out;
  const auto& service = *input.service;
  for (const auto& port : service.ports) {
    if (port.protocol == model::Protocol::kSctp) continue;
    for (const bool v4 : {true, false}) {
      EdgePlan plan{service.name,
                    port.name,
                    port.protocol,
                    frontends_of(service, port, v4, node),
                    options.mode,
                    service.affinity_timeout.count() > 0,
                    {}};
      if (plan.frontends.empty()) continue;
      plan.backends = backends_of(input, port, v4, node);
      out.push_back(std::move(plan));
    }
  }
  return out;
}

}  // namespace cortexflow::compile
