// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/policy_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/compile/policy_rules.h"

namespace cortexflow::compile {
namespace {

// What of pods' labels and ports policies look at: all else makes no other identity.
struct Looked {
  std::set<std::string> label_keys, port_names;

  void at(const model::LabelSelector& selector) {
    for (const auto& [key, value] : selector.labels) label_keys.insert(key);
    for (const auto& one : selector.expressions) label_keys.insert(one.key);
  }
  void at(const model::AuthorizationPolicy& policy) {
    for (const auto& [key, value] : policy.selector) label_keys.insert(key);
    for (const auto& rule : policy.rules) {
      for (const auto& source : rule.from) {
        for (const auto& [key, value] : source.pod_labels) label_keys.insert(key);
      }
      for (const auto& call : rule.to) {
        if (!call.destination) continue;
        for (const auto& [key, value] : call.destination->pod_labels) label_keys.insert(key);
      }
    }
  }
  void at(const model::NetworkPolicy& policy) {
    at(policy.selector);
    for (const auto direction : {CF_POLICY_IN, CF_POLICY_OUT}) {
      const auto* rules = rules_of(policy, direction);
      for (std::size_t i = 0; rules && i < rules->size(); ++i) {
        for (const auto& peer : (*rules)[i].peers) {
          if (peer.pods) at(*peer.pods);
        }
        for (const auto& port : (*rules)[i].ports) {
          if (!port.name.empty()) port_names.insert(port.name);
        }
      }
    }
  }
};

Looked looked_at(const PolicyInput& input) {
  Looked out;
  for (const auto& policy : input.policies) out.at(*policy);
  for (const auto& policy : input.network_policies) out.at(*policy);
  return out;
}

bool is_managed(const PolicyInput& input, const model::Pod& pod, PolicyPlan& plan) {
  const auto ns = input.namespaces.find(pod.name.ns);
  const auto* said = mesh_label(pod, ns == input.namespaces.end() ? nullptr : &ns->second);
  if (!said || *said == "enabled") return true;
  if (*said == "disabled") return false;
  plan.refusals.push_back(
      fmt::format("Pod {}/{}: the label {} is {}: expected enabled or disabled; it counts as enabled", pod.name.ns,
                  pod.name.name, kMeshLabel, *said));
  return true;
}

// Two pods' identities with one number: the second is nobody's, which a policy can't allow.
void number_pods(const PolicyInput& input, PolicyPlan& plan) {
  const auto looked = looked_at(input);
  for (const auto& pod : input.pods) {
    auto identity = identity_of(*pod, looked.label_keys, looked.port_names);
    identity.managed = is_managed(input, *pod, plan);
    identity.unsure = input.unread_namespaces.contains(pod->name.ns) && !mesh_label(*pod, nullptr);
    if (identity.unsure) identity.managed = true;
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

using AddressOwners = std::map<model::IpAddress, std::set<std::uint64_t>>;

// Pods in the host's network have the host's address, which counts as this machine's.
AddressOwners place_addresses(const PolicyInput& input, PolicyPlan& plan) {
  AddressOwners owners;
  std::map<model::IpAddress, const model::Pod*> first;
  for (const auto& pod : input.pods) {
    if (pod->host_network) continue;
    for (const auto& address : pod->addresses) {
      const auto number = plan.pods.at(pod->name);
      const auto [known, fresh] = plan.addresses.emplace(address, number);
      if (fresh) {
        first[address] = pod.get();
      } else if (known->second != number) {
        auto& several = owners[address];
        if (known->second != CF_POLICY_ID_AMBIGUOUS) several.insert(known->second);
        several.insert(number);
        known->second = CF_POLICY_ID_AMBIGUOUS;
        const auto& other = first[address]->name;
        plan.refusals.push_back(
            fmt::format("Pod {}/{}: its address {} is Pod {}/{}'s too: who sends from there counts as neither",
                        pod->name.ns, pod->name.name, address.to_string(), other.ns, other.name));
      }
    }
  }
  for (const auto& address : input.node_addresses) plan.addresses.emplace(address, std::uint64_t{CF_POLICY_ID_HOST});
  for (const auto& node : input.nodes) {
    for (const auto& address : node->addresses) plan.addresses.emplace(address, std::uint64_t{CF_POLICY_ID_NODE});
  }
  return owners;
}

// This machine's own stay: it is never closed.
void drop_addresses(const PolicyInput& input, PolicyPlan& plan) {
  if (plan.addresses.size() <= input.limits.addresses) return;
  plan.addresses_full = true;
  plan.refusals.push_back(fmt::format(
      "policy: {} addresses of workloads, {} are possible: workloads with addresses that are not known are closed",
      plan.addresses.size(), input.limits.addresses));
  const std::set<model::IpAddress> own(input.node_addresses.begin(), input.node_addresses.end());
  for (auto at = plan.addresses.end();
       plan.addresses.size() > input.limits.addresses && at != plan.addresses.begin();) {
    at = std::prev(at);
    if (!own.contains(at->first)) at = plan.addresses.erase(at);
  }
}

// Workloads that policies select and that nobody can tell from others: together they are one, which is closed.
void close_untold(const PolicyInput& input, const AddressOwners& owners, PolicyPlan& plan) {
  std::set<std::uint64_t> beyond;
  bool any = plan.addresses_full && !plan.targets.empty();
  if (plan.targets.size() + 1 > input.limits.targets) {
    const auto room = input.limits.targets == 0 ? 0 : input.limits.targets - 1;
    plan.refusals.push_back(fmt::format(
        "policy: {} workloads that policies select, {} are possible: the last are closed", plan.targets.size(), room));
    for (auto at = std::next(plan.targets.begin(), static_cast<std::ptrdiff_t>(room)); at != plan.targets.end();) {
      beyond.insert(at->first);
      at = plan.targets.erase(at);
    }
  }
  const auto is_selected = [&](std::uint64_t number) {
    return plan.targets.contains(number) || beyond.contains(number);
  };
  for (auto& [address, number] : plan.addresses) {
    const auto several = owners.find(address);
    const bool untold = number == CF_POLICY_ID_AMBIGUOUS && several != owners.end() &&
                        std::any_of(several->second.begin(), several->second.end(), is_selected);
    if (untold || beyond.contains(number)) number = CF_POLICY_ID_CLOSED, any = true;
  }
  for (auto& [pod, number] : plan.pods) {
    if (beyond.contains(number)) number = CF_POLICY_ID_CLOSED, any = true;
  }
  if (!any) return;
  const PolicySide closed{plan.tables.size(), CF_POLICY_CLOSED};
  plan.tables.emplace_back();
  plan.targets[CF_POLICY_ID_CLOSED] = {closed, closed};
}

// Who says something about a workload, in one direction.  Workloads with the same of these share a table.
struct Selecting {
  cf_policy_direction direction = CF_POLICY_IN;
  std::vector<const model::AuthorizationPolicy*> policies;
  std::vector<const model::NetworkPolicy*> network_policies;
  std::set<model::PodPort> ports;  // that their rules may name
  auto operator<=>(const Selecting&) const = default;
};

// The policies of a namespace.
struct NamespacePolicies {
  std::vector<const model::AuthorizationPolicy*> policies;
  std::vector<const model::NetworkPolicy*> network_policies;
};

class Planner {
 public:
  Planner(const PolicyInput& input, const std::set<std::uint64_t>& shared, RuleNumbers& numbers, PolicyPlan& plan)
      : input_(input), context_{input, plan.identities, shared, numbers}, plan_(plan) {
    for (const auto& policy : input.policies) by_namespace_[policy->name.ns].policies.push_back(policy.get());
    for (const auto& policy : input.network_policies) {
      by_namespace_[policy->name.ns].network_policies.push_back(policy.get());
      check(*policy);
    }
  }

  void plan() {
    for (const auto& [number, identity] : plan_.identities) {
      const auto in = side(identity, CF_POLICY_IN), out = side(identity, CF_POLICY_OUT);
      if (in.flags != 0 || out.flags != 0) plan_.targets[number] = {in, out};
    }
  }

 private:
  void check(const model::NetworkPolicy& policy) {
    for (const auto direction : {CF_POLICY_IN, CF_POLICY_OUT}) {
      for (auto& words : remarks_on(policy, direction)) plan_.refusals.push_back(std::move(words));
      auto words = not_enforceable(policy, direction);
      if (!words) continue;
      plan_.refusals.push_back(std::move(*words));
      unenforceable_.emplace(&policy, direction);
    }
  }

  Selecting selecting(const PolicyIdentity& identity, cf_policy_direction direction) {
    Selecting out{direction, {}, {}, identity.ports};
    const auto& there = by_namespace_[identity.ns];
    for (const auto* policy : there.policies) {
      if (direction_of(*policy) == direction && selects(*policy, identity)) out.policies.push_back(policy);
    }
    for (const auto* policy : there.network_policies) {
      if (rules_of(*policy, direction) && selects(*policy, identity)) out.network_policies.push_back(policy);
    }
    return out;
  }

  // Of its namespace, where policies can't be read.
  std::uint32_t closed(const PolicyIdentity& identity, cf_policy_direction direction) const {
    std::uint32_t flags = 0;
    if (identity.managed && input_.closed_namespaces.at(direction).contains(identity.ns)) flags |= CF_POLICY_CLOSED;
    if (input_.network_closed_namespaces.contains(identity.ns)) flags |= CF_POLICY_ISOLATED | CF_POLICY_NETWORK_CLOSED;
    return flags;
  }

  std::uint32_t flags_of(const Selecting& by) const {
    std::uint32_t flags = by.policies.empty() ? 0U : static_cast<std::uint32_t>(CF_POLICY_AUTHORIZED);
    for (const auto* policy : by.policies) {
      if (policy->action != model::PolicyAction::kAllow) continue;
      flags |= policy->audit ? CF_POLICY_HAS_DRY_ALLOW : CF_POLICY_HAS_ALLOW;
    }
    for (const auto* policy : by.network_policies) {
      flags |= CF_POLICY_ISOLATED;
      if (unenforceable_.contains({policy, by.direction})) flags |= CF_POLICY_NETWORK_CLOSED;
    }
    return flags;
  }

  PolicyTable make_table(const Selecting& by, const PolicyIdentity& identity) {
    PolicyTableBuilder builder(input_.limits);
    std::vector<std::string> names;
    for (const auto* policy : by.policies) {
      names.push_back(policy_name(*policy));
      add_rules(builder, *policy, context_);
    }
    for (const auto* policy : by.network_policies) {
      names.push_back(policy_name(*policy));
      if (unenforceable_.contains({policy, by.direction})) continue;
      add_rules(builder, *policy, by.direction, identity, context_);
    }
    auto table = builder.take();
    table.policies = std::move(names);
    return table;
  }

  PolicySide side(const PolicyIdentity& identity, cf_policy_direction direction) {
    auto by = selecting(identity, direction);
    const auto closing = closed(identity, direction);
    if (by.policies.empty() && by.network_policies.empty() && closing == 0) return {};
    const auto known = made_.find(by);
    if (known != made_.end()) return {known->second.table, known->second.flags | closing};
    auto table = make_table(by, identity);
    auto flags = flags_of(by);
    if (rules_ + table.rules.size() > input_.limits.rules || blocks_ + table.blocks.size() > input_.limits.blocks) {
      flags |= CF_POLICY_CLOSED;
      plan_.refusals.push_back(
          fmt::format("policy: there is no room for the rules of {}, more than {} entries or {} CIDRs in all: {}",
                      identity.to_string(), input_.limits.rules, input_.limits.blocks,
                      direction == CF_POLICY_IN ? "nobody may reach it" : "it may reach nobody"));
      table.rules.clear();
      table.blocks.clear();
    }
    rules_ += table.rules.size();
    blocks_ += table.blocks.size();
    const PolicySide made{plan_.tables.size(), flags};
    plan_.tables.push_back(std::move(table));
    made_[std::move(by)] = made;
    return {made.table, made.flags | closing};
  }

  const PolicyInput& input_;
  PolicyRuleContext context_;
  PolicyPlan& plan_;
  std::map<std::string, NamespacePolicies> by_namespace_;
  std::set<std::pair<const model::NetworkPolicy*, cf_policy_direction>> unenforceable_;
  std::map<Selecting, PolicySide> made_;
  std::size_t rules_ = 0, blocks_ = 0;
};

}  // namespace

std::uint32_t RuleNumbers::number(const std::string& name) {
  const auto found = numbers_.find(name);
  if (found != numbers_.end()) return found->second;
  if (names_.size() >= CF_POLICY_HITS_MAX) return 0;
  names_.push_back(name);
  return numbers_[name] = static_cast<std::uint32_t>(names_.size() - 1);
}

bool RuleNumbers::is_full() const { return names_.size() >= CF_POLICY_HITS_MAX; }

const std::string& RuleNumbers::name(std::uint32_t number) const { return names_[number < names_.size() ? number : 0]; }

PolicyPlan plan_policies(const PolicyInput& input, RuleNumbers& numbers) {
  PolicyPlan plan;
  number_pods(input, plan);
  const auto owners = place_addresses(input, plan);
  std::set<std::uint64_t> shared;
  for (const auto& [address, several] : owners) shared.insert(several.begin(), several.end());
  Planner(input, shared, numbers, plan).plan();
  drop_addresses(input, plan);
  close_untold(input, owners, plan);
  if (numbers.is_full()) {
    plan.refusals.push_back(fmt::format(
        "policy: {} rules have had names since the agent started: further ones hold, but are shown and counted "
        "without their names until it is started again",
        static_cast<int>(CF_POLICY_HITS_MAX) - 1));
  }
  return plan;
}

PolicyVerdict decide(const PolicyPlan& plan, cf_policy_direction direction, const PolicyConnection& connection,
                     cf_policy_unknown unknown) {
  PolicyVerdict out;
  const auto found = plan.targets.find(connection.workload);
  if (found == plan.targets.end() || found->second.at(direction).flags == 0) return out;
  const auto& side = found->second.at(direction);
  const auto& table = plan.tables[side.table];
  cf_policy_rule said{};
  const auto add = [&](const cf_policy_rule* more) {
    for (std::size_t say = 0; more && say < CF_POLICY_SAYS; ++say) {
      if (!(more->says & 1U << say) || said.says & 1U << say) continue;
      said.says |= 1U << say;
      said.rule[say] = more->rule[say];
    }
  };
  for (const auto peer : {connection.peer, static_cast<std::uint64_t>(CF_POLICY_ID_ANY)}) {
    for (const auto port : {connection.port, std::uint16_t{0}}) {
      add(find_rule(table, peer, port, connection.protocol));
    }
  }
  for (const auto port : {connection.port, std::uint16_t{0}}) {
    add(find_block(table, connection.peer_address, port, connection.protocol));
  }
  out.verdict = cf_policy_decide(side.flags, connection.peer, unknown, said.says);
  out.audited = said.rule[CF_POLICY_SAY_AUDIT];
  if (out.verdict == CF_POLICY_V_DENIED) out.rule = said.rule[CF_POLICY_SAY_DENY];
  if (out.verdict == CF_POLICY_V_WOULD_DENY) out.rule = said.rule[CF_POLICY_SAY_DRY_DENY];
  if (out.verdict == CF_POLICY_V_ALLOWED) {
    out.rule = said.rule[CF_POLICY_SAY_ALLOW];
    (out.rule == 0 ? out.rule : out.network_rule) = said.rule[CF_POLICY_SAY_NETWORK_ALLOW];
  }
  return out;
}

const char* verdict_name(cf_policy_verdict verdict) {
  static constexpr std::array<const char*, CF_POLICY_V_MAX> kNames{"unselected",
                                                                   "own",
                                                                   "allowed",
                                                                   "not_denied",
                                                                   "answer",
                                                                   "would_deny",
                                                                   "would_not_allow",
                                                                   "node",
                                                                   "unknown_passed",
                                                                   "unknown_audited",
                                                                   "denied",
                                                                   "not_allowed",
                                                                   "not_in_network",
                                                                   "unknown_denied",
                                                                   "closed",
                                                                   "unreadable",
                                                                   "boot"};
  return kNames.at(verdict);
}

bool is_refusal_name(const std::string& verdict) {
  for (int i = CF_POLICY_V_DENIED; i < CF_POLICY_V_MAX; ++i) {
    if (verdict == verdict_name(static_cast<cf_policy_verdict>(i))) return true;
  }
  return false;
}

}  // namespace cortexflow::compile
