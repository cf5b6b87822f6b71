// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/policy_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/octets.h"
#include "agent/compile/policy_table.h"

namespace cortexflow::compile {
namespace {

bool has_labels(const model::Labels& wanted, const model::Labels& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
    const auto found = labels.find(one.first);
    return found != labels.end() && found->second == one.second;
  });
}

std::set<std::string> label_keys(const PolicyInput& input) {
  std::set<std::string> out;
  for (const auto& policy : input.policies) {
    for (const auto& [key, value] : policy->selector) out.insert(key);
    for (const auto& rule : policy->rules) {
      for (const auto& source : rule.from) {
        for (const auto& [key, value] : source.pod_labels) out.insert(key);
      }
    }
  }
  return out;
}

// Two pods' identities with one number: the second is nobody's, which a policy can't allow.
void number_pods(const PolicyInput& input, PolicyPlan& plan) {
  const auto keys = label_keys(input);
  for (const auto& pod : input.pods) {
    const auto identity = identity_of(*pod, keys);
    const auto number = identity_number(input.hash_key, identity);
    const auto [known, fresh] = plan.identities.emplace(number, identity);
    if (!fresh && known->second != identity) {
      plan.refusals.push_back(
          fmt::format("Pod {}/{}: its identity {} has the number of {}: it counts as several workloads'", pod->name.ns,
                      pod->name.name, identity.to_string(), known->second.to_string()));
      plan.pods[pod->name] = CF_POLICY_ID_AMBIGUOUS;
    } else {
      plan.pods[pod->name] = number;
    }
  }
}

// Pods in the host's network have the host's address, which is nobody's own.
void place_addresses(const PolicyInput& input, PolicyPlan& plan) {
  std::map<model::IpAddress, const model::Pod*> owners;
  for (const auto& pod : input.pods) {
    if (pod->host_network) continue;
    for (const auto& address : pod->addresses) {
      const auto number = plan.pods.at(pod->name);
      const auto [known, fresh] = plan.addresses.emplace(address, number);
      if (fresh) {
        owners[address] = pod.get();
      } else if (known->second != number) {
        known->second = CF_POLICY_ID_AMBIGUOUS;
        const auto& other = owners[address]->name;
        plan.refusals.push_back(
            fmt::format("Pod {}/{}: its address {} is Pod {}/{}'s too: who sends from there counts as neither",
                        pod->name.ns, pod->name.name, address.to_string(), other.ns, other.name));
      }
    }
  }
  if (plan.addresses.size() <= input.limits.addresses) return;
  plan.refusals.push_back(fmt::format("policy: {} addresses of workloads, {} are possible: the last count as nobody's",
                                      plan.addresses.size(), input.limits.addresses));
  plan.addresses.erase(std::next(plan.addresses.begin(), static_cast<std::ptrdiff_t>(input.limits.addresses)),
                       plan.addresses.end());
}

std::uint32_t flags_of(const std::vector<const model::AuthorizationPolicy*>& policies) {
  std::uint32_t flags = 0;
  for (const auto* policy : policies) {
    if (policy->action != model::PolicyAction::kAllow) continue;
    flags |= policy->audit ? CF_POLICY_HAS_DRY_ALLOW : CF_POLICY_HAS_ALLOW;
  }
  return flags;
}

}  // namespace

bool selects(const model::AuthorizationPolicy& policy, const PolicyIdentity& identity) {
  return policy.name.ns == identity.ns && has_labels(policy.selector, identity.labels);
}

bool matches(const model::PolicySource& source, const PolicyIdentity& identity, const std::string& trust_domain) {
  const auto any = [](const auto& values, const auto& test) {
    return values.empty() || std::any_of(values.begin(), values.end(), test);
  };
  const auto part = [](const std::string& wanted, const std::string& is) { return wanted == "*" || wanted == is; };
  return any(source.principals,
             [&](const model::Principal& one) {
               return part(one.trust_domain, trust_domain) && part(one.ns, identity.ns) &&
                      part(one.service_account, identity.service_account);
             }) &&
         any(source.namespaces, [&](const std::string& ns) { return ns == identity.ns; }) &&
         any(source.service_accounts,
             [&](const model::ObjectName& one) {
               return one.ns == identity.ns && one.name == identity.service_account;
             }) &&
         has_labels(source.pod_labels, identity.labels);
}

std::uint32_t RuleNumbers::number(const std::string& name) {
  const auto found = numbers_.find(name);
  if (found != numbers_.end()) return found->second;
  if (names_.size() >= CF_POLICY_HITS_MAX) return 0;
  names_.push_back(name);
  return numbers_[name] = static_cast<std::uint32_t>(names_.size() - 1);
}

const std::string& RuleNumbers::name(std::uint32_t number) const { return names_[number < names_.size() ? number : 0]; }

PolicyPlan plan_policies(const PolicyInput& input, RuleNumbers& numbers) {
  PolicyPlan plan;
  number_pods(input, plan);
  place_addresses(input, plan);
  std::map<std::string, std::vector<const model::AuthorizationPolicy*>> by_namespace;
  for (const auto& policy : input.policies) by_namespace[policy->name.ns].push_back(policy.get());
  // Workloads with the same policies share a table.
  std::map<std::vector<const model::AuthorizationPolicy*>, std::pair<std::size_t, std::uint32_t>> made;
  std::size_t rules = 0, blocks = 0;
  for (const auto& [number, identity] : plan.identities) {
    std::vector<const model::AuthorizationPolicy*> selecting;
    for (const auto* policy : by_namespace[identity.ns]) {
      if (selects(*policy, identity)) selecting.push_back(policy);
    }
    const bool closed = input.closed_namespaces.contains(identity.ns);
    if (selecting.empty() && !closed) continue;
    const auto known = made.find(selecting);
    if (known == made.end()) {
      auto table = make_policy_table(selecting, plan.identities, input.trust_domain, numbers);
      std::uint32_t flags = flags_of(selecting);
      if (rules + table.rules.size() > input.limits.rules || blocks + table.blocks.size() > input.limits.blocks) {
        flags |= CF_POLICY_CLOSED;
        plan.refusals.push_back(fmt::format(
            "policy: there is no room for the rules of {}, {} entries and {} CIDRs ({} and {} are possible in all): "
            "nobody may reach it",
            identity.to_string(), table.rules.size(), table.blocks.size(), input.limits.rules, input.limits.blocks));
        table.rules.clear();
        table.blocks.clear();
      }
      rules += table.rules.size();
      blocks += table.blocks.size();
      made[selecting] = {plan.tables.size(), flags};
      plan.tables.push_back(std::move(table));
    }
    const auto& [table, flags] = made[selecting];
    plan.targets[number] = {table, flags | (closed ? static_cast<std::uint32_t>(CF_POLICY_CLOSED) : 0U)};
  }
  return plan;
}

PolicyVerdict decide(const PolicyPlan& plan, std::uint64_t target, std::uint64_t source,
                     const model::IpAddress& source_address, std::uint16_t port, model::Protocol protocol,
                     cf_policy_unknown unknown) {
  PolicyVerdict out;
  const auto found = plan.targets.find(target);
  if (found == plan.targets.end()) return out;
  const auto& table = plan.tables[found->second.table];
  cf_policy_rule said{};
  const auto add = [&](const cf_policy_rule* more) {
    for (std::size_t say = 0; more && say < CF_POLICY_SAYS; ++say) {
      if (!(more->says & 1U << say) || said.says & 1U << say) continue;
      said.says |= 1U << say;
      said.rule[say] = more->rule[say];
    }
  };
  for (const auto from : {source, static_cast<std::uint64_t>(CF_POLICY_ID_ANY)}) {
    for (const auto to : {port, std::uint16_t{0}}) add(find_rule(table, from, to, protocol));
  }
  for (const auto to : {port, std::uint16_t{0}}) add(find_block(table, source_address, to, protocol));
  out.verdict = cf_policy_decide(found->second.flags, source, unknown, said.says);
  out.audited = said.rule[CF_POLICY_SAY_AUDIT];
  if (out.verdict == CF_POLICY_V_DENIED) out.rule = said.rule[CF_POLICY_SAY_DENY];
  if (out.verdict == CF_POLICY_V_ALLOWED) out.rule = said.rule[CF_POLICY_SAY_ALLOW];
  if (out.verdict == CF_POLICY_V_WOULD_DENY) out.rule = said.rule[CF_POLICY_SAY_DRY_DENY];
  return out;
}

const char* verdict_name(cf_policy_verdict verdict) {
  static constexpr std::array<const char*, CF_POLICY_V_MAX> kNames{
      "unselected",      "own",        "allowed",         "not_denied",
      "answer",          "would_deny", "would_not_allow", "unknown_passed",
      "unknown_audited", "denied",     "not_allowed",     "unknown_denied",
      "closed",          "unreadable"};
  return kNames.at(verdict);
}

}  // namespace cortexflow::compile
