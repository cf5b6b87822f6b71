// SPDX-License-Identifier: Apache-2.0
// What the rules of each kind of policy say, of the identities that there are.  Pure.
#pragma once

#include <optional>

#include "agent/compile/policy_table.h"

namespace cortexflow::compile {

[[nodiscard]] bool selects(const model::AuthorizationPolicy& policy, const PolicyIdentity& identity);
[[nodiscard]] bool selects(const model::NetworkPolicy& policy, const PolicyIdentity& identity);

[[nodiscard]] cf_policy_direction direction_of(const model::AuthorizationPolicy& policy);
// Null: the policy says nothing about that direction.
[[nodiscard]] const std::vector<model::NetworkRule>* rules_of(const model::NetworkPolicy& policy,
                                                              cf_policy_direction direction);

// "shop/allow-web", "NetworkPolicy shop/allow-web": what its rules' names begin with.
[[nodiscard]] std::string policy_name(const model::AuthorizationPolicy& policy);
[[nodiscard]] std::string policy_name(const model::NetworkPolicy& policy);

struct PolicyRuleContext {
  const PolicyInput& input;
  const std::map<std::uint64_t, PolicyIdentity>& identities;
  const std::set<std::uint64_t>& shared;  // some address of theirs is another's too: its caller may be either
  RuleNumbers& numbers;
};

void add_rules(PolicyTableBuilder& builder, const model::AuthorizationPolicy& policy, const PolicyRuleContext& context);
// `selected`: whose table it is; its named ports are those that callers may reach.
void add_rules(PolicyTableBuilder& builder, const model::NetworkPolicy& policy, cf_policy_direction direction,
               const PolicyIdentity& selected, const PolicyRuleContext& context);

// Why its rules for that direction can't be in the tables: its workloads are closed there.
[[nodiscard]] std::optional<std::string> not_enforceable(const model::NetworkPolicy& policy,
                                                         cf_policy_direction direction);
// What of its rules means nothing here.
[[nodiscard]] std::vector<std::string> remarks_on(const model::NetworkPolicy& policy, cf_policy_direction direction);

}  // namespace cortexflow::compile
