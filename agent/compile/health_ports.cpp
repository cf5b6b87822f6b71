// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/health_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "agent/compile/candidates.h"

namespace cortexflow::compile {
namespace {

using Time = std::chrono::system_clock::time_point;

bool is_drained(const ServiceInput& input, const Candidate& candidate, model::Protocol protocol) {
  if (!input.avoided) return false;
  const auto found = input.avoided->find({candidate.backend.address, candidate.backend.port, protocol});
  return found != input.avoided->end() && found->second.contains(AvoidedBy::kDrain);
}

std::size_t local_endpoints(const ServiceInput& input, const NodeContext& node, bool v4) {
  std::set<model::IpAddress> addresses;
  for (const auto& port : input.service->ports) {
    for (const auto& candidate : candidates_of(input, port, v4)) {
      const auto& endpoint = *candidate.endpoint;
      if (!takes_new(*input.service, endpoint) || !is_local(candidate, node)) continue;
      if (is_drained(input, candidate, port.protocol)) continue;
      addresses.insert(endpoint.address);
    }
  }
  return addresses.size();
}

}  // namespace

std::optional<HealthPort> plan_health_port(const ServiceInput& input, const NodeContext& node) {
  const auto& service = *input.service;
  if (service.health_check_node_port == 0 || service.type != model::ServiceType::kLoadBalancer ||
      service.external_scope != model::TrafficScope::kLocal) {
    return std::nullopt;
  }
  return HealthPort{service.health_check_node_port, service.created,
                    std::max(local_endpoints(input, node, true), local_endpoints(input, node, false))};
}

void HealthPortBook::update(const Plans& changed) {
  bool others = false;  // wishes, not endpoints alone
  for (const auto& [name, plan] : changed) {
    const auto had = wishes_.find(name);
    if (!plan) {
      if (had == wishes_.end()) continue;
      wishes_.erase(had);
      others = true;
      continue;
    }
    others |= had == wishes_.end() || had->second.port != plan->port || had->second.created != plan->created;
    wishes_[name] = *plan;
    const auto held = ports_.find(plan->port);
    if (held != ports_.end() && held->second.service == name) held->second.endpoints = plan->endpoints;
  }
  if (others) assign();
}

void HealthPortBook::assign() {
  using Order = std::tuple<bool, Time, model::ObjectName>;  // has it not, created, name
  std::vector<std::pair<Order, const HealthPort*>> wishes;
  wishes.reserve(wishes_.size());
  for (const auto& [name, wish] : wishes_) {
    const auto held = ports_.find(wish.port);
    const bool has = held != ports_.end() && held->second.service == name;
    wishes.push_back({{!has, wish.created.value_or(Time::max()), name}, &wish});
  }
  std::sort(wishes.begin(), wishes.end());
  ports_.clear();
  refusals_.clear();
  for (const auto& [order, wish] : wishes) {
    const auto& name = std::get<model::ObjectName>(order);
    if (const auto held = ports_.find(wish->port); held != ports_.end()) {
      refusals_[name] = fmt::format("{}/{} has it", held->second.service.ns, held->second.service.name);
    } else if (wish->port == reserved_) {
      refusals_[name] = "services.proxy_health_listen has it";
    } else if (ports_.size() == max_) {
      refusals_[name] = fmt::format("{} such ports are served already, and no more are", max_);
    } else {
      ports_[wish->port] = {name, wish->endpoints};
    }
  }
}

}  // namespace cortexflow::compile
