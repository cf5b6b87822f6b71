// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/edge_plan.h"

#include <algorithm>

#include "agent/compile/candidates.h"

namespace cortexflow::compile {
namespace {

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
    add(node_port_addresses(service, node), port.node_port);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// What speaks against each; null: nothing.
std::vector<const AvoidedReasons*> reasons_of(const std::vector<Candidate>& candidates, const ServiceInput& input,
                                              model::Protocol protocol) {
  std::vector<const AvoidedReasons*> reasons(candidates.size(), nullptr);
  for (std::size_t i = 0; input.avoided && i < candidates.size(); ++i) {
    const auto& backend = candidates[i].backend;
    const auto found = input.avoided->find({backend.address, backend.port, protocol});
    if (found != input.avoided->end() && !found->second.empty()) reasons[i] = &found->second;
  }
  return reasons;
}

// Endpoints of that port and family.  Those that end but still serve drain, unless there is nobody else (KEP-1669); so
// do those that are avoided, by the rule that holds for them everywhere.
std::vector<EdgeBackend> backends_of(const ServiceInput& input, const model::ServicePort& port, bool v4,
                                     const NodeContext& node) {
  std::vector<Candidate> taking, ending;
  for (const auto& candidate : candidates_of(input, port, v4)) {
    const auto& endpoint = *candidate.endpoint;
    if (input.service->external_scope == TrafficScope::kLocal && !is_local(candidate, node)) continue;
    if (takes_new(*input.service, endpoint)) {
      taking.push_back(candidate);
    } else if (endpoint.serving && endpoint.terminating) {
      ending.push_back(candidate);
    }
  }
  const bool all_end = taking.empty();
  if (all_end) std::swap(taking, ending);
  const auto shares = shares_of(taking, input.policy);
  const auto verdict = availability(reasons_of(taking, input, port.protocol), shares,
                                    input.policy ? input.policy->panic_threshold : model::kPanicThreshold);
  std::vector<EdgeBackend> out;
  out.reserve(taking.size() + ending.size());
  for (std::size_t i = 0; i < taking.size(); ++i) {
    out.push_back({taking[i].backend, shares[i], is_local(taking[i], node), !verdict.choosable[i]});
  }
  for (const auto& one : ending) out.push_back({one.backend, 1, is_local(one, node), true});
  std::sort(out.begin(), out.end());
  return out;
}

// What is an external address as well is that first: anybody's.
void limit(const Service& service, const model::ServicePort& port, bool v4, EdgePlan& plan) {
  if (service.source_ranges.empty() || service.type != ServiceType::kLoadBalancer) return;
  for (const auto& address : service.load_balancer_ips) {
    const auto& external = service.external_ips;
    if (address.is_v4() != v4 || std::find(external.begin(), external.end(), address) != external.end()) continue;
    plan.limited.emplace_back(address, port.port);
  }
  std::sort(plan.limited.begin(), plan.limited.end());
  plan.limited.erase(std::unique(plan.limited.begin(), plan.limited.end()), plan.limited.end());
  if (plan.limited.empty()) return;
  for (const auto& range : service.source_ranges) {
    if (range.prefix.is_v4() == v4) plan.ranges.push_back(range);
  }
  std::sort(plan.ranges.begin(), plan.ranges.end());
  plan.ranges.erase(std::unique(plan.ranges.begin(), plan.ranges.end()), plan.ranges.end());
}

}  // namespace

std::vector<EdgePlan> plan_edge(const ServiceInput& given, const NodeContext& node, const EdgePlanOptions& options) {
  std::vector<EdgePlan> out;
  ServiceInput input = given;
  model::TrafficPolicy reweighted;
  if (input.policy && input.set && !input.set->subset_weights.empty()) {
    reweighted = with_weights(*input.policy, *input.set);
    input.policy = &reweighted;
  }
  const auto& service = *input.service;
  for (const auto& port : service.ports) {
    if (port.protocol == model::Protocol::kSctp) continue;
    for (const bool v4 : {true, false}) {
      EdgePlan plan;
      plan.service = service.name;
      plan.port = port.port;
      plan.protocol = port.protocol;
      plan.frontends = frontends_of(service, port, v4, node);
      if (plan.frontends.empty()) continue;
      plan.mode = options.mode;
      plan.by_client = service.affinity_timeout.count() > 0;
      limit(service, port, v4, plan);
      plan.backends = backends_of(input, port, v4, node);
      out.push_back(std::move(plan));
    }
  }
  return out;
}

}  // namespace cortexflow::compile
