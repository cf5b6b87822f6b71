// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "agent/compile/policy_rules.h"

namespace cortexflow::compile {
namespace {

// The tables have single ports: a range is written out, unless it is all of them.
constexpr std::size_t kRangePortsMax = 1024;
constexpr std::uint16_t kPortMax = 65535;

bool is_all_ports(const model::NetworkPort& port) {
  return port.name.empty() && (port.first == 0 || (port.first == 1 && port.last == kPortMax));
}

std::vector<PortOfProtocol> numbered_ports(const model::NetworkRule& rule) {
  std::vector<PortOfProtocol> out;
  const auto tcp = static_cast<std::uint8_t>(model::Protocol::kTcp);
  const auto udp = static_cast<std::uint8_t>(model::Protocol::kUdp);
  if (rule.ports.empty()) return {{0, tcp}, {0, udp}};
  for (const auto& port : rule.ports) {
    const auto protocol = static_cast<std::uint8_t>(port.protocol);
    if (protocol != tcp && protocol != udp) continue;
    if (is_all_ports(port)) {
      out.push_back({0, protocol});
    } else if (port.name.empty()) {
      for (std::uint32_t one = port.first; one <= port.last; ++one) {
        out.push_back({static_cast<std::uint16_t>(one), protocol});
      }
    }
  }
  return out;
}

// What the names in the rule mean for a pod.
std::vector<PortOfProtocol> named_ports(const model::NetworkRule& rule, const PolicyIdentity& called) {
  std::vector<PortOfProtocol> out;
  for (const auto& port : rule.ports) {
    if (port.name.empty() || port.protocol == model::Protocol::kSctp) continue;
    for (const auto& has : called.ports) {
      if (has.name == port.name && has.protocol == port.protocol) {
        out.push_back({has.port, static_cast<std::uint8_t>(has.protocol)});
      }
    }
  }
  return out;
}

// Of a namespace that there is no object of nothing is known but its name; of one whose object can't be read, nothing.
bool matches_namespace(const model::LabelSelector& selector, const std::string& ns, const PolicyInput& input) {
  if (input.unread_namespaces.contains(ns)) return false;
  const auto found = input.namespaces.find(ns);
  return selector.matches(found != input.namespaces.end() ? found->second
                                                          : model::Labels{{"kubernetes.io/metadata.name", ns}});
}

bool matches_peer(const model::NetworkPeer& peer, const PolicyIdentity& identity, const std::string& ns,
                  const PolicyInput& input) {
  return (peer.namespaces ? matches_namespace(*peer.namespaces, identity.ns, input) : identity.ns == ns) &&
         (!peer.pods || peer.pods->matches(identity.labels));
}

const char* direction_name(cf_policy_direction direction) { return direction == CF_POLICY_IN ? "ingress" : "egress"; }

std::string rule_name(const model::NetworkPolicy& policy, cf_policy_direction direction, std::size_t rule) {
  return fmt::format("{} {}[{}]", policy_name(policy), direction_name(direction), rule);
}

// Each with where it stands: "NetworkPolicy shop/a: spec.ingress[0].ports[1]".
template <typename Visit>
void each_port(const model::NetworkPolicy& policy, cf_policy_direction direction, const Visit& visit) {
  const auto* rules = rules_of(policy, direction);
  for (std::size_t i = 0; rules && i < rules->size(); ++i) {
    const auto& rule = (*rules)[i];
    for (std::size_t at = 0; at < rule.ports.size(); ++at) {
      visit(rule, rule.ports[at],
            fmt::format("{}: spec.{}[{}].ports[{}]", policy_name(policy), direction_name(direction), i, at));
    }
  }
}

}  // namespace

bool selects(const model::NetworkPolicy& policy, const PolicyIdentity& identity) {
  return policy.name.ns == identity.ns && policy.selector.matches(identity.labels);
}

const std::vector<model::NetworkRule>* rules_of(const model::NetworkPolicy& policy, cf_policy_direction direction) {
  const auto& rules = direction == CF_POLICY_IN ? policy.ingress : policy.egress;
  return rules ? &*rules : nullptr;
}

std::string policy_name(const model::NetworkPolicy& policy) {
  return fmt::format("NetworkPolicy {}/{}", policy.name.ns, policy.name.name);
}

void add_rules(PolicyTableBuilder& builder, const model::NetworkPolicy& policy, cf_policy_direction direction,
               const PolicyIdentity& selected, const PolicyRuleContext& context) {
  const auto* rules = rules_of(policy, direction);
  for (std::size_t i = 0; rules && i < rules->size(); ++i) {
    const auto& rule = (*rules)[i];
    PolicyStatement said{
        CF_POLICY_SAY_NETWORK_ALLOW, context.numbers.number(rule_name(policy, direction, i)), {}, {}, {}};
    for (const auto& peer : rule.peers) {
      if (peer.block) {
        said.blocks.push_back({*peer.block, peer.except});
        continue;
      }
      for (const auto& [number, identity] : context.identities) {
        if (matches_peer(peer, identity, policy.name.ns, context.input)) said.peers.insert(number);
      }
    }
    if (rule.peers.empty()) said.peers.insert(CF_POLICY_ID_ANY);
    said.ports = numbered_ports(rule);
    if (direction == CF_POLICY_IN) {
      const auto named = named_ports(rule, selected);
      said.ports.insert(said.ports.end(), named.begin(), named.end());
    }
    builder.add(said);
    if (direction == CF_POLICY_IN) continue;
    // The name is one of the called pod's: each may have another port under it.
    for (const auto& [number, identity] : context.identities) {
      if (!rule.peers.empty() && !said.peers.contains(number)) continue;
      if (auto named = named_ports(rule, identity); !named.empty()) {
        builder.add({said.say, said.rule, {number}, {}, std::move(named)});
      }
    }
  }
}

std::optional<std::string> not_enforceable(const model::NetworkPolicy& policy, cf_policy_direction direction) {
  std::optional<std::string> out;
  each_port(policy, direction, [&](const auto&, const model::NetworkPort& port, const std::string& where) {
    const std::size_t ports = port.last - port.first + std::size_t{1};
    if (out || is_all_ports(port) || port.protocol == model::Protocol::kSctp || ports <= kRangePortsMax) return;
    out = fmt::format("{}: {} to {} are {} ports, {} are possible, or all from 1 to 65535: {}", where, port.first,
                      port.last, ports, kRangePortsMax,
                      direction == CF_POLICY_IN ? "nobody may reach the workloads that it selects"
                                                : "the workloads that it selects may reach nobody");
  });
  return out;
}

std::vector<std::string> remarks_on(const model::NetworkPolicy& policy, cf_policy_direction direction) {
  std::vector<std::string> out;
  each_port(policy, direction,
            [&](const model::NetworkRule& rule, const model::NetworkPort& port, const std::string& where) {
              if (port.protocol == model::Protocol::kSctp) {
                out.push_back(where + ": SCTP is not looked at: it passes, whatever policies say; this allows nothing");
              }
              const bool by_block = std::any_of(rule.peers.begin(), rule.peers.end(),
                                                [](const model::NetworkPeer& peer) { return peer.block.has_value(); });
              if (direction == CF_POLICY_OUT && !port.name.empty() && by_block) {
                out.push_back(where + ": a port's name is a pod's: it allows nothing in the rule's ipBlocks");
              }
            });
  return out;
}

}  // namespace cortexflow::compile
