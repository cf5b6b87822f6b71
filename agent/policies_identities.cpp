// SPDX-License-Identifier: Apache-2.0
// Policies: who is told apart.
#include <algorithm>

#include "agent/policies.h"
#include "agent/policy_ends.h"

namespace cortexflow {
namespace {

const char* kind_of(std::uint64_t identity, const compile::PolicyPlan& plan) {
  switch (identity) {
    case CF_POLICY_ID_WORLD:
      return "world";
    case CF_POLICY_ID_UNKNOWN:
      return "unknown";
    case CF_POLICY_ID_AMBIGUOUS:
      return "ambiguous";
    case CF_POLICY_ID_HOST:
      return "host";
    case CF_POLICY_ID_CLOSED:
      return "closed";
    case CF_POLICY_ID_NODE:
      return "node";
    default:
      break;
  }
  const auto found = plan.identities.find(identity);
  return found == plan.identities.end() || found->second.managed ? "workload" : "unmanaged";
}

void add_policies(const compile::PolicyPlan& plan, control::IdentityRow& row) {
  const auto target = plan.targets.find(row.number);
  if (target == plan.targets.end()) return;
  for (const auto& side : target->second) {
    if (side.flags == 0) continue;
    const auto& more = plan.tables[side.table].policies;
    row.policies.insert(row.policies.end(), more.begin(), more.end());
  }
  std::sort(row.policies.begin(), row.policies.end());
  row.policies.erase(std::unique(row.policies.begin(), row.policies.end()), row.policies.end());
}

}  // namespace

control::IdentityList Policies::identities() const {
  control::IdentityList out;
  if (const auto now = figures()) {
    for (const auto& [name, use] : now->maps) out.tables.push_back({name, use.first, use.second});
  }
  const std::lock_guard lock(mutex_);
  if (!tables_) return out;
  std::map<std::uint64_t, control::IdentityRow> rows;
  for (const std::uint64_t number : {CF_POLICY_ID_WORLD, CF_POLICY_ID_UNKNOWN, CF_POLICY_ID_HOST, CF_POLICY_ID_NODE})
    rows[number];
  for (const auto& [number, identity] : plan_.identities) {
    auto& row = rows[number];
    row.spiffe = fmt::format("spiffe://{}/ns/{}/sa/{}", options_.trust_domain, identity.ns, identity.service_account);
    row.labels = {identity.labels.begin(), identity.labels.end()};
  }
  for (const auto& [pod, number] : plan_.pods) rows[number].pods.push_back(pod.ns + "/" + pod.name);
  for (const auto& [address, number] : plan_.addresses) rows[number].addresses.push_back(address.to_string());
  for (auto& [number, row] : rows) {
    row.number = number;
    row.kind = kind_of(number, plan_);
    row.name = identity_name(number, plan_);
    add_policies(plan_, row);
    out.identities.push_back(std::move(row));
  }
  return out;
}

}  // namespace cortexflow
