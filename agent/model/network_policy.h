// SPDX-License-Identifier: Apache-2.0
// NetworkPolicy (networking.k8s.io/v1): whom workloads may be reached by, and whom they may reach.  Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/model/cidr.h"
#include "agent/model/label_selector.h"
#include "agent/model/service.h"

namespace cortexflow::model {

// Pods by selectors, or addresses by `block`.
struct NetworkPeer {
  std::optional<LabelSelector> pods;        // none: all of them
  std::optional<LabelSelector> namespaces;  // none: the policy's own
  std::optional<Cidr> block;
  std::vector<Cidr> except;  // inside the block, and not meant
  bool operator==(const NetworkPeer&) const = default;
};

struct NetworkPort {
  Protocol protocol = Protocol::kTcp;
  std::uint16_t first = 0, last = 0;  // 0: all, or `name`
  std::string name;                   // of a port of the called pod's containers
  bool operator==(const NetworkPort&) const = default;
};

struct NetworkRule {
  std::vector<NetworkPeer> peers;  // empty: everybody
  std::vector<NetworkPort> ports;  // empty: all, of every protocol
  bool operator==(const NetworkRule&) const = default;
};

struct NetworkPolicy {
  ObjectName name;
  LabelSelector selector;  // of pods in its namespace
  // What its workloads may be called by, and may call; none: it says nothing about that direction.
  std::optional<std::vector<NetworkRule>> ingress, egress;
  bool operator==(const NetworkPolicy&) const = default;
};

}  // namespace cortexflow::model
