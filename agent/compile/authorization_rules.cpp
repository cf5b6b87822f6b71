// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "agent/compile/policy_rules.h"

namespace cortexflow::compile {
namespace {

bool has_labels(const model::Labels& wanted, const model::Labels& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
    const auto found = labels.find(one.first);
    return found != labels.end() && found->second == one.second;
  });
}

// Of a source without ipBlocks and entities.
bool matches_source(const model::PolicySource& source, const PolicyIdentity& identity,
                    const std::string& trust_domain) {
  const auto any = [](const auto& values, const auto& test) {
    return values.empty() || std::any_of(values.begin(), values.end(), test);
  };
  const auto part = [](const std::string& wanted, const std::string& is) { return wanted == "*" || wanted == is; };
  return identity.managed &&
         any(source.principals,
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

void add_ports(const model::PolicyOperation& operation, std::vector<PortOfProtocol>& out) {
  const auto& protocols = operation.protocols;
  for (const auto protocol : {model::Protocol::kTcp, model::Protocol::kUdp}) {
    if (!protocols.empty() && std::find(protocols.begin(), protocols.end(), protocol) == protocols.end()) continue;
    for (const auto port : operation.ports.empty() ? std::vector<std::uint16_t>{0} : operation.ports) {
      out.push_back({port, static_cast<std::uint8_t>(protocol)});
    }
  }
}

bool allows(const PolicyStatement& statement) {
  return statement.say == CF_POLICY_SAY_ALLOW || statement.say == CF_POLICY_SAY_DRY_ALLOW;
}

// What refuses one workload refuses whoever has an address that may be its.
void add_peer(std::uint64_t number, const PolicyRuleContext& context, PolicyStatement& statement) {
  statement.peers.insert(number);
  if (!allows(statement) && context.shared.contains(number)) statement.peers.insert(CF_POLICY_ID_AMBIGUOUS);
}

void add_entity(model::Entity entity, const PolicyRuleContext& context, PolicyStatement& statement) {
  switch (entity) {
    case model::Entity::kHost:
      statement.peers.insert(CF_POLICY_ID_HOST);
      return;
    case model::Entity::kNode:
      statement.peers.insert(CF_POLICY_ID_NODE);
      return;
    case model::Entity::kWorld:
      statement.peers.insert(CF_POLICY_ID_WORLD);
      return;
    case model::Entity::kUnmanaged:
      break;
  }
  for (const auto& [number, identity] : context.identities) {
    if (!identity.managed || (identity.unsure && !allows(statement))) add_peer(number, context, statement);
  }
}

void add_peers(const model::PolicySource& source, const PolicyRuleContext& context, PolicyStatement& statement) {
  for (const auto& cidr : source.ip_blocks) statement.blocks.push_back({cidr, {}});
  for (const auto entity : source.entities) add_entity(entity, context, statement);
  if (!source.ip_blocks.empty() || !source.entities.empty()) return;
  for (const auto& [number, identity] : context.identities) {
    if (identity.unsure && allows(statement)) continue;
    if (matches_source(source, identity, context.input.trust_domain)) add_peer(number, context, statement);
  }
}

cf_policy_say say_of(const model::AuthorizationPolicy& policy) {
  switch (policy.action) {
    case model::PolicyAction::kAllow:
      return policy.audit ? CF_POLICY_SAY_DRY_ALLOW : CF_POLICY_SAY_ALLOW;
    case model::PolicyAction::kDeny:
      return policy.audit ? CF_POLICY_SAY_DRY_DENY : CF_POLICY_SAY_DENY;
    case model::PolicyAction::kAudit:
      break;
  }
  return CF_POLICY_SAY_AUDIT;
}

}  // namespace

bool selects(const model::AuthorizationPolicy& policy, const PolicyIdentity& identity) {
  return identity.managed && policy.name.ns == identity.ns && has_labels(policy.selector, identity.labels);
}

std::string policy_name(const model::AuthorizationPolicy& policy) { return policy.name.ns + "/" + policy.name.name; }

cf_policy_direction direction_of(const model::AuthorizationPolicy& policy) {
  return policy.direction == model::PolicyDirection::kEgress ? CF_POLICY_OUT : CF_POLICY_IN;
}

void add_rules(PolicyTableBuilder& builder, const model::AuthorizationPolicy& policy,
               const PolicyRuleContext& context) {
  const bool egress = policy.direction == model::PolicyDirection::kEgress;
  for (std::size_t i = 0; i < policy.rules.size(); ++i) {
    const auto& rule = policy.rules[i];
    const PolicyStatement saying{
        say_of(policy), context.numbers.number(fmt::format("{}[{}]", policy_name(policy), i)), {}, {}, {}};
    const auto calls = rule.to.empty() ? std::vector<model::PolicyOperation>(1) : rule.to;
    if (egress) {  // whom and where apply together, call by call
      for (const auto& call : calls) {
        auto statement = saying;
        add_ports(call, statement.ports);
        if (call.destination) {
          add_peers(*call.destination, context, statement);
        } else {
          statement.peers.insert(CF_POLICY_ID_ANY);
        }
        builder.add(statement);
      }
      continue;
    }
    auto statement = saying;
    for (const auto& call : calls) add_ports(call, statement.ports);
    if (rule.from.empty()) statement.peers.insert(CF_POLICY_ID_ANY);
    for (const auto& source : rule.from) add_peers(source, context, statement);
    builder.add(statement);
  }
}

}  // namespace cortexflow::compile
