// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/service_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agent/compile/candidates.h"
#include "agent/compile/shares.h"

namespace cortexflow::compile {
namespace {

using model::Algorithm;
using model::Endpoint;
using model::Service;
using model::TrafficScope;

template <typename Keep>
std::vector<Candidate> only(const std::vector<Candidate>& from, Keep keep) {
  std::vector<Candidate> kept;
  std::copy_if(from.begin(), from.end(), std::back_inserter(kept), [&](const auto& c) { return keep(*c.endpoint); });
  return kept;
}

// Those that take new connections: the ready ones, or else those that end but still serve (KEP-1669).
std::vector<Candidate> usable(const std::vector<Candidate>& all, const Service& service) {
  auto ready = only(all, [&](const Endpoint& e) { return takes_new(service, e); });
  return ready.empty() ? only(all, [](const Endpoint& e) { return e.serving && e.terminating; }) : ready;
}

// Those that still answer whom they know.  Sorted, as candidates are.
std::vector<Backend> members_of(const std::vector<Candidate>& all, const Service& service) {
  std::vector<Backend> members;
  for (const auto& candidate : all) {
    const auto& endpoint = *candidate.endpoint;
    if (endpoint.ready || service.publish_not_ready || (endpoint.serving && endpoint.terminating)) {
      members.push_back(candidate.backend);
    }
  }
  return members;
}

// On this node only, where the service wishes that.
std::vector<Candidate> in_scope(const std::vector<Candidate>& all, const Service& service, const NodeContext& node) {
  return only(
      all, [&](const Endpoint& e) { return service.internal_scope == TrafficScope::kCluster || e.node == node.name; });
}

// Near this node, if the service prefers that and there is one: by hints if every endpoint has them, else by zone.
std::vector<Candidate> near_first(const std::vector<Candidate>& all, const Service& service, const NodeContext& node) {
  if (!service.prefer_close || node.zone.empty()) return all;
  const bool hinted =
      std::all_of(all.begin(), all.end(), [](const auto& c) { return !c.endpoint->zone_hints.empty(); });
  auto near = only(all, [&](const Endpoint& e) {
    return hinted ? std::find(e.zone_hints.begin(), e.zone_hints.end(), node.zone) != e.zone_hints.end()
                  : e.zone == node.zone;
  });
  return near.empty() ? all : near;
}

// The slots for these candidates; empty where none has a share.
Slots slots_of(const std::vector<Candidate>& candidates, const std::vector<std::uint64_t>& shares,
               const model::TrafficPolicy* policy, std::vector<std::string>& refusals) {
  std::vector<std::uint32_t> order;
  if (policy && policy->algorithm == Algorithm::kConsistentHash) {
    std::vector<std::string> names;
    names.reserve(candidates.size());
    for (const auto& c : candidates)
      names.push_back(fmt::format("{}#{}", c.backend.address.to_string(), c.backend.port));
    order = maglev_table(names, shares, policy->hash_table_size);
  } else {
    order = weighted_sequence(shares, CF_SVC_TABLE_SLOTS_MAX);
    const bool any = std::any_of(shares.begin(), shares.end(), [](auto share) { return share > 0; });
    if (order.empty() && any) {
      // The exact shares need too many slots: to the nearest of as many as there may be, but never none.
      const auto most = *std::max_element(shares.begin(), shares.end());
      const std::uint64_t room = std::max<std::uint64_t>(1, CF_SVC_TABLE_SLOTS_MAX / 2 / shares.size());
      std::vector<std::uint64_t> rounded;
      rounded.reserve(shares.size());
      for (const auto share : shares) {
        const auto scaled = static_cast<std::uint64_t>(
            std::llround(static_cast<double>(share) / static_cast<double>(most) * static_cast<double>(room)));
        rounded.push_back(share == 0 ? 0 : std::max<std::uint64_t>(1, scaled));
      }
      order = weighted_sequence(rounded, CF_SVC_TABLE_SLOTS_MAX);
      refusals.push_back(order.empty() ? fmt::format("{} backends, at most {} are possible", candidates.size(),
                                                     static_cast<int>(CF_SVC_TABLE_SLOTS_MAX))
                                       : "the weights' exact shares need too large a table: rounded");
    }
  }
  Slots slots;
  slots.reserve(order.size());
  for (const auto index : order) slots.push_back(candidates[index].backend);
  return slots;
}

// Those that may be chosen now; what speaks against the others is noted in the plan.
std::vector<Candidate> available(const std::vector<Candidate>& all, const ServiceInput& input, ServicePlan& plan) {
  if (!input.avoided || input.avoided->empty()) return all;
  std::vector<const AvoidedReasons*> reasons;
  for (const auto& candidate : all) {
    const auto& backend = candidate.backend;
    const auto found = input.avoided->find({backend.address, backend.port, plan.protocol});
    const bool avoided = found != input.avoided->end() && !found->second.empty();
    reasons.push_back(avoided ? &found->second : nullptr);
    if (avoided) plan.avoided[backend] = found->second;
  }
  if (plan.avoided.empty()) return all;
  const auto verdict = availability(reasons, shares_of(all, input.policy),
                                    input.policy ? input.policy->panic_threshold : model::kPanicThreshold);
  plan.panic = verdict.panic;
  plan.ready = verdict.ready;
  plan.left = verdict.left;
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (verdict.choosable[i]) kept.push_back(all[i]);
  }
  return kept;
}

// Of those that are ready, those that no caller is given for want of a share.
std::set<Backend> resting_of(const std::vector<Candidate>& ready, const ServiceInput& input, const ServicePlan& plan) {
  std::set<Backend> out;
  const auto shares = shares_of(ready, input.policy);
  for (std::size_t i = 0; i < ready.size(); ++i) {
    if (shares[i] == 0) out.insert(ready[i].backend);
  }
  for (const auto& [version, slots] : plan.by_version) {
    for (const auto& backend : slots) out.erase(backend);
  }
  return out;
}

// Who has callers at all has as many as any other.
bool equal_shares(const std::vector<std::uint64_t>& shares) {
  std::uint64_t one = 0;
  return std::all_of(shares.begin(), shares.end(), [&](auto share) {
    if (one == 0) one = share;
    return share == 0 || share == one;
  });
}

cf_svc_algorithm algorithm_of(const ServiceInput& input, const std::vector<std::uint64_t>& shares,
                              std::vector<std::string>& refusals) {
  if (!input.policy) return CF_SVC_ROUND_ROBIN;
  switch (input.policy->algorithm) {
    case Algorithm::kRandom:
      return CF_SVC_RANDOM;
    case Algorithm::kLeastConnections:
    case Algorithm::kLeastLatency:
      if (!splits(input.policy) && equal_shares(shares)) {
        return input.policy->algorithm == Algorithm::kLeastLatency ? CF_SVC_LEAST_LATENCY : CF_SVC_LEAST_CONNECTIONS;
      }
      refusals.emplace_back("LeastConnections and LeastLatency can't keep weights but 0: RoundRobin is used instead");
      return CF_SVC_ROUND_ROBIN;
    case Algorithm::kConsistentHash:
      return CF_SVC_HASH;
    case Algorithm::kRoundRobin:
    case Algorithm::kWeighted:
      break;
  }
  return CF_SVC_ROUND_ROBIN;
}

std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends_of(const Service& service,
                                                                     const model::ServicePort& port,
                                                                     const NodeContext& node, bool v4) {
  std::vector<std::pair<model::IpAddress, std::uint16_t>> frontends;
  const auto add = [&](const std::vector<model::IpAddress>& addresses, std::uint16_t number) {
    for (const auto& address : addresses) {
      const std::pair frontend(address, number);
      if (address.is_v4() == v4 && std::find(frontends.begin(), frontends.end(), frontend) == frontends.end()) {
        frontends.push_back(frontend);
      }
    }
  };
  add(service.cluster_ips, port.port);
  add(service.external_ips, port.port);
  add(service.load_balancer_ips, port.port);
  if (port.node_port != 0) add(node_port_addresses(service, node), port.node_port);
  return frontends;
}

}  // namespace

std::vector<model::IpAddress> node_port_addresses(const Service& service, const NodeContext& node) {
  std::vector<model::IpAddress> out;
  for (const auto& address : node.addresses) {
    const auto same_family = [&](const auto& one) { return one.is_v4() == address.is_v4(); };
    if (std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(), same_family)) out.push_back(address);
  }
  return out;
}

std::vector<BackendPort> ready_backends(const ServiceInput& input, const NodeContext& node) {
  std::vector<BackendPort> out;
  const auto& service = *input.service;
  for (const auto& port : service.ports) {
    if (port.protocol == model::Protocol::kSctp) continue;
    for (const bool v4 : {true, false}) {
      if (frontends_of(service, port, node, v4).empty()) continue;
      for (const auto& candidate : usable(in_scope(candidates_of(input, port, v4), service, node), service)) {
        out.push_back({candidate.backend.address, candidate.backend.port, port.protocol});
      }
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

PlannedService plan_service(const ServiceInput& given, const NodeContext& node) {
  PlannedService out;
  ServiceInput input = given;
  model::TrafficPolicy reweighted;
  if (input.policy && input.set && !input.set->subset_weights.empty()) {
    reweighted = with_weights(*input.policy, *input.set);
    input.policy = &reweighted;
  }
  const auto& service = *input.service;
  for (const auto& port : service.ports) {
    if (port.protocol == model::Protocol::kSctp) continue;  // passed through untouched
    for (const bool v4 : {true, false}) {
      ServicePlan plan;
      plan.frontends = frontends_of(service, port, node, v4);
      if (plan.frontends.empty()) continue;
      plan.cluster_frontends = static_cast<std::size_t>(std::count_if(
          service.cluster_ips.begin(), service.cluster_ips.end(), [&](const auto& ip) { return ip.is_v4() == v4; }));
      plan.created = service.created;
      plan.service = service.name;
      plan.port = port.port;
      plan.port_name = port.name;
      plan.protocol = port.protocol;
      plan.affinity_s = static_cast<std::uint32_t>(service.affinity_timeout.count());
      if (input.policy) plan.circuit_breaker = input.policy->circuit_breaker;
      const auto scoped = in_scope(candidates_of(input, port, v4), service, node);
      if (plan.protocol == model::Protocol::kUdp) plan.members = members_of(scoped, service);
      const auto ready = usable(scoped, service);
      const auto candidates = near_first(available(ready, input, plan), service, node);
      plan.algorithm = algorithm_of(input, shares_of(candidates, input.policy), out.refusals);
      for (const auto& candidate : candidates) {
        const auto& backend = candidate.backend;
        if (input.probation.contains({backend.address, backend.port, plan.protocol})) plan.probation.insert(backend);
      }
      plan.slots = slots_of(candidates, shares_of(candidates, input.policy), input.policy, out.refusals);
      if (input.policy && input.policy->match_caller_version) {
        std::map<std::string, std::vector<Candidate>> versions;
        for (const auto& candidate : candidates) {
          if (!candidate.pod) continue;
          const auto version = candidate.pod->labels.find("version");
          if (version != candidate.pod->labels.end()) versions[version->second].push_back(candidate);
        }
        for (const auto& [version, members] : versions) {
          std::vector<std::uint64_t> shares;
          for (const auto& member : members) shares.push_back(own_weight(member, input.policy));
          if (auto slots = slots_of(members, shares, input.policy, out.refusals); !slots.empty()) {
            plan.by_version.emplace(version, std::move(slots));
          }
        }
      }
      plan.resting = resting_of(ready, input, plan);
      out.plans.push_back(std::move(plan));
    }
  }
  std::sort(out.refusals.begin(), out.refusals.end());  // of several ports and families, each once
  out.refusals.erase(std::unique(out.refusals.begin(), out.refusals.end()), out.refusals.end());
  return out;
}

}  // namespace cortexflow::compile
