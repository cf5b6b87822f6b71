// SPDX-License-Identifier: Apache-2.0
// AuthorizationPolicy (cortexflow.io/v1alpha1): who may open connections to which workloads, or which may to whom.
// Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/cidr.h"
#include "agent/model/service.h"

namespace cortexflow::model {

enum class PolicyAction : std::uint8_t { kAllow, kDeny, kAudit };
// Rules are about who calls the selected workloads, or about whom they call.
enum class PolicyDirection : std::uint8_t { kIngress, kEgress };

// spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT; a part may be "*".
struct Principal {
  std::string trust_domain, ns, service_account;
  bool operator==(const Principal&) const = default;
};

// Who is no workload of the mesh's.
enum class Entity : std::uint8_t { kHost, kNode, kWorld, kUnmanaged };

// Values of one field are alternatives, fields apply together; an empty field does not count.
struct PolicySource {
  std::vector<Principal> principals;
  std::vector<std::string> namespaces;
  std::vector<ObjectName> service_accounts;
  Labels pod_labels;            // of pods in `namespaces`, which is the policy's own where the document has none
  std::vector<Cidr> ip_blocks;  // alone in its source, as the next
  std::vector<Entity> entities;
  bool operator==(const PolicySource&) const = default;
};

struct PolicyOperation {
  std::vector<std::uint16_t> ports;         // sorted; empty: all
  std::vector<Protocol> protocols;          // TCP, UDP; sorted; empty: both
  std::optional<PolicySource> destination;  // of egress: who is called; none: anybody
  bool operator==(const PolicyOperation&) const = default;
};

struct PolicyRule {
  std::vector<PolicySource> from;   // of ingress; empty: anybody
  std::vector<PolicyOperation> to;  // empty: anything
  bool operator==(const PolicyRule&) const = default;
};

struct AuthorizationPolicy {
  ObjectName name;
  Labels selector;  // of pods in its namespace; empty: all of them
  PolicyAction action = PolicyAction::kAllow;
  PolicyDirection direction = PolicyDirection::kIngress;
  bool audit = false;  // mode: audit: what it would refuse is counted, and passes
  std::vector<PolicyRule> rules;
  bool operator==(const AuthorizationPolicy&) const = default;
};

}  // namespace cortexflow::model
