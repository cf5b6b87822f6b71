// SPDX-License-Identifier: Apache-2.0
// The entries that the rules of some policies become, and how they are found.  Pure.
#pragma once

#include "agent/compile/policy_plan.h"

namespace cortexflow::compile {

[[nodiscard]] bool selects(const model::AuthorizationPolicy& policy, const PolicyIdentity& identity);
// Of a source without ipBlocks.
[[nodiscard]] bool matches(const model::PolicySource& source, const PolicyIdentity& identity,
                           const std::string& trust_domain);

[[nodiscard]] PolicyTable make_policy_table(const std::vector<const model::AuthorizationPolicy*>& policies,
                                            const std::map<std::uint64_t, PolicyIdentity>& identities,
                                            const std::string& trust_domain, RuleNumbers& numbers);

// As the kernel finds them; null: no rule.
[[nodiscard]] const cf_policy_rule* find_rule(const PolicyTable& table, std::uint64_t source, std::uint16_t port,
                                              model::Protocol protocol);
[[nodiscard]] const cf_policy_rule* find_block(const PolicyTable& table, const model::IpAddress& address,
                                               std::uint16_t port, model::Protocol protocol);

}  // namespace cortexflow::compile
