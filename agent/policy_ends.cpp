// SPDX-License-Identifier: Apache-2.0
#include "agent/policy_ends.h"

#include <algorithm>

#include "agent/operator_request.h"

namespace cortexflow {
namespace {

control::PolicySideCheck side_check(const PlannedPolicy& by, cf_policy_direction direction, const PolicyEnd& workload,
                                    const PolicyEnd& peer, const PolicyPort& port) {
  const auto verdict = compile::decide(by.plan, direction,
                                       {workload.identity, peer.identity, peer.address.value_or(model::IpAddress{}),
                                        port.port, port.udp ? model::Protocol::kUdp : model::Protocol::kTcp},
                                       by.unknown);
  control::PolicySideCheck out;
  out.direction = direction == CF_POLICY_IN ? "in" : "out";
  out.verdict = compile::verdict_name(verdict.verdict);
  out.refused = compile::is_refusal(verdict.verdict);
  for (const auto rule : {verdict.rule, verdict.network_rule}) {
    if (rule != 0) out.rules.push_back(by.numbers.name(rule));
  }
  out.audited = by.numbers.name(verdict.audited);
  const auto target = by.plan.targets.find(workload.identity);
  if (target == by.plan.targets.end() || target->second.at(direction).flags == 0) return out;
  out.policies = by.plan.tables[target->second.at(direction).table].policies;
  return out;
}

}  // namespace

std::string identity_name(std::uint64_t identity, const compile::PolicyPlan& plan) {
  switch (identity) {
    case CF_POLICY_ID_HOST:
      return "this node";
    case CF_POLICY_ID_NODE:
      return "another node";
    case CF_POLICY_ID_WORLD:
      return "world";
    case CF_POLICY_ID_UNKNOWN:
      return "unknown";
    case CF_POLICY_ID_AMBIGUOUS:
      return "ambiguous";
    case CF_POLICY_ID_CLOSED:
      return "closed";
    default:
      break;
  }
  const auto found = plan.identities.find(identity);
  return found == plan.identities.end() ? std::to_string(identity) : found->second.to_string();
}

PolicyEnd end_at(const model::IpAddress& address, const compile::PolicyPlan& plan,
                 const std::vector<std::string>& workload_ranges) {
  const auto known = plan.addresses.find(address);
  if (known != plan.addresses.end()) return {known->second, address};
  if (address.is_loopback()) return {static_cast<std::uint64_t>(CF_POLICY_ID_HOST), address};
  const bool workload = std::any_of(workload_ranges.begin(), workload_ranges.end(), [&](const std::string& range) {
    const auto slash = range.find('/');
    return model::Cidr{*model::IpAddress::parse(range.substr(0, slash)),
                       static_cast<std::uint8_t>(std::stoi(range.substr(slash + 1)))}
        .covers(address);
  });
  if (plan.addresses_full && (workload || workload_ranges.empty())) return {CF_POLICY_ID_CLOSED, address};
  return {static_cast<std::uint64_t>(workload ? CF_POLICY_ID_UNKNOWN : CF_POLICY_ID_WORLD), address};
}

std::optional<PolicyEnd> find_end(const std::string& text, const compile::PolicyPlan& plan,
                                  const state::Snapshot& snapshot, const std::vector<std::string>& workload_ranges) {
  if (const auto address = model::IpAddress::parse(text)) return end_at(*address, plan, workload_ranges);
  const auto name = object_name(text);
  const auto pod = name ? snapshot.pods.find(*name) : nullptr;
  const auto planned = name ? plan.pods.find(*name) : plan.pods.end();
  if (!pod || planned == plan.pods.end()) return std::nullopt;
  return PolicyEnd{planned->second, pod->addresses.empty() ? std::nullopt : std::optional(pod->addresses.front())};
}

std::vector<control::PolicySideCheck> check_sides(const PlannedPolicy& by, const PolicyEnd& from, const PolicyEnd& to,
                                                  const PolicyPort& port) {
  if (from.address && from.address == to.address) {  // to itself: no policy is asked
    const std::string own = compile::verdict_name(CF_POLICY_V_OWN);
    return {{"out", own, false, {}, {}, {}}, {"in", own, false, {}, {}, {}}};
  }
  return {side_check(by, CF_POLICY_OUT, from, to, port), side_check(by, CF_POLICY_IN, to, from, port)};
}

}  // namespace cortexflow
