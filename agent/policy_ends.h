// SPDX-License-Identifier: Apache-2.0
// The ends of a connection as policy knows them, and what a plan says at each.  Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/compile/policy_plan.h"
#include "agent/control/policy_view.h"
#include "agent/state/snapshot.h"

namespace cortexflow {

struct PolicyEnd {
  std::uint64_t identity = 0;
  std::optional<model::IpAddress> address;
};

// "this node", "world", "shop/web app=web"
[[nodiscard]] std::string identity_name(std::uint64_t identity, const compile::PolicyPlan& plan);

// Nobody's address is the world's, or of a workload that is not known yet.
[[nodiscard]] PolicyEnd end_at(const model::IpAddress& address, const compile::PolicyPlan& plan,
                               const std::vector<std::string>& workload_ranges);
// An address, or NAMESPACE/POD; none: there is no such pod.
[[nodiscard]] std::optional<PolicyEnd> find_end(const std::string& text, const compile::PolicyPlan& plan,
                                                const state::Snapshot& snapshot,
                                                const std::vector<std::string>& workload_ranges);

struct PolicyPort {
  std::uint16_t port = 0;
  bool udp = false;
};
struct PlannedPolicy {
  const compile::PolicyPlan& plan;
  const compile::RuleNumbers& numbers;
  cf_policy_unknown unknown;
};
// Out, in.
[[nodiscard]] std::vector<control::PolicySideCheck> check_sides(const PlannedPolicy& by, const PolicyEnd& from,
                                                                const PolicyEnd& to, const PolicyPort& port);

}  // namespace cortexflow
