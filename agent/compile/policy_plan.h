// SPDX-License-Identifier: Apache-2.0
// From AuthorizationPolicies, NetworkPolicies and pods to what the kernel looks up: no rule is walked when a packet
// comes.  Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/compile/policy_identity.h"
#include "agent/model/authorization_policy.h"
#include "agent/model/network_policy.h"
#include "agent/model/service.h"
#include "bpf/abi/policy.h"

namespace cortexflow::compile {

struct PolicyLimits {
  std::size_t rules = CF_POLICY_RULES_MAX / 2;
  std::size_t blocks = CF_POLICY_BLOCKS_MAX / 2;
  std::size_t targets = CF_POLICY_TARGETS_MAX / 2;
  std::size_t addresses = CF_POLICY_ADDRESSES_MAX / 2;
};

struct PolicyInput {
  std::vector<std::shared_ptr<const model::AuthorizationPolicy>> policies;  // sorted by name
  std::vector<std::shared_ptr<const model::Pod>> pods;
  // By direction: AuthorizationPolicies of them can't be read.
  std::array<std::set<std::string>, CF_POLICY_DIRECTIONS> closed_namespaces;
  std::vector<std::shared_ptr<const model::NetworkPolicy>> network_policies;  // sorted by name
  std::set<std::string> network_closed_namespaces;                            // likewise
  std::map<std::string, model::Labels> namespaces;
  std::set<std::string> unread_namespaces;                // there is an object, and it can't be read
  std::vector<model::IpAddress> node_addresses;           // of this machine
  std::vector<std::shared_ptr<const model::Node>> nodes;  // this one too; sorted by name
  std::string trust_domain;
  HashKey hash_key{};
  PolicyLimits limits;
};

// Rules by name, "shop/allow-web[0]", "NetworkPolicy shop/web egress[0]"; a number stays with its name, and 0 is none.
class RuleNumbers {
 public:
  [[nodiscard]] std::uint32_t number(const std::string& name);  // 0 where it is full
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] const std::map<std::string, std::uint32_t>& all() const { return numbers_; }
  [[nodiscard]] const std::string& name(std::uint32_t number) const;

 private:
  std::map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_{""};
};

// Keys are octets of cf_policy_rule_key and cf_policy_block_key with the table 0.
struct PolicyTable {
  std::map<std::string, cf_policy_rule> rules, blocks;
  std::vector<std::string> policies;  // whose rules these are, by policy_name()
};

struct PolicySide {
  std::size_t table = 0;    // in PolicyPlan::tables
  std::uint32_t flags = 0;  // 0: no policy says anything about this direction, and there is no table
};

using PolicyTarget = std::array<PolicySide, CF_POLICY_DIRECTIONS>;

struct PolicyPlan {
  std::map<std::uint64_t, PolicyIdentity> identities;
  std::map<model::ObjectName, std::uint64_t> pods;
  std::map<model::IpAddress, std::uint64_t> addresses;
  std::vector<PolicyTable> tables;
  std::map<std::uint64_t, PolicyTarget> targets;  // by identity; those that a policy selects
  bool addresses_full = false;                    // some had no room: CF_POLICY_FULL
  std::vector<std::string> refusals;
};

[[nodiscard]] PolicyPlan plan_policies(const PolicyInput& input, RuleNumbers& numbers);

// What the kernel decides of a connection that is opened, by the same lookups in the same order.
struct PolicyVerdict {
  cf_policy_verdict verdict = CF_POLICY_V_UNSELECTED;
  std::uint32_t rule = 0;          // that decided; 0: none did
  std::uint32_t network_rule = 0;  // of a NetworkPolicy that allows it too
  std::uint32_t audited = 0;       // of an AUDIT rule that matches
};
struct PolicyConnection {
  std::uint64_t workload = 0, peer = 0;  // identities; in: the peer calls, out: the workload does
  model::IpAddress peer_address;
  std::uint16_t port = 0;  // that is called
  model::Protocol protocol = model::Protocol::kTcp;
};
[[nodiscard]] PolicyVerdict decide(const PolicyPlan& plan, cf_policy_direction direction,
                                   const PolicyConnection& connection, cf_policy_unknown unknown);

[[nodiscard]] const char* verdict_name(cf_policy_verdict verdict);  // "not_allowed"
[[nodiscard]] inline bool is_refusal(cf_policy_verdict verdict) { return verdict >= CF_POLICY_V_DENIED; }
[[nodiscard]] bool is_refusal_name(const std::string& verdict);

}  // namespace cortexflow::compile
