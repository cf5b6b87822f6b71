// SPDX-License-Identifier: Apache-2.0
// Who may call whom, and what the kernel would say to a connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/control/service_operator.h"
#include "agent/model/flow.h"

namespace cortexflow::control {

struct PolicyRow {
  std::string kind;       // "AuthorizationPolicy", "NetworkPolicy"
  std::string name;       // "shop/allow-web"
  std::string direction;  // "in", "out", "both": of its workloads' connections
  std::string action;     // "ALLOW", "DENY", "AUDIT"
  std::string mode;       // "enforce", "audit"
  std::uint64_t rules = 0;
  std::uint64_t workloads = 0;  // pods that it selects
  std::uint64_t hits = 0;       // times that a rule of it decided or, AUDIT, matched
  std::string origin;           // "/etc/shop.yaml:12", "cluster", "operator"
};

struct PolicyList {
  std::vector<PolicyRow> policies;
  std::string hook;     // where they are enforced; empty: nowhere
  std::string problem;  // what is not as the policies say; empty: nothing
};

struct PolicyQuery {
  std::string from;  // "NAMESPACE/POD", or an address
  std::string to;    // likewise
  std::uint16_t port = 0;
  bool udp = false;
};

// What is said at one of a connection's ends.
struct PolicySideCheck {
  std::string direction;  // "out": at the caller's socket, "in": at the called one's
  std::string verdict;    // "not_allowed", as in the metrics
  bool refused = false;
  std::vector<std::string> rules;     // that decided: "shop/allow-web[0]", "NetworkPolicy shop/web ingress[0]"
  std::string audited;                // an AUDIT rule that matches; empty: none
  std::vector<std::string> policies;  // that select that end's workload, and speak of the direction
};

struct PolicyCheck {
  std::vector<PolicySideCheck> sides;  // out, in; the first that refuses decides
  std::string from, to;                // who they are: "shop/web app=web", "world"

  [[nodiscard]] const PolicySideCheck& decisive() const {
    const bool only_out = sides.front().verdict != "unselected" && sides.back().verdict == "unselected";
    return sides.front().refused || only_out ? sides.front() : sides.back();
  }
};

// Connections of one caller's identity to another's port, and what is said to them by the policies that stand and by
// those that are tried.
struct SimulatedPair {
  std::string from, to;  // as PolicyCheck's
  std::uint16_t port = 0;
  std::string change;  // "newly_refused", "newly_allowed", "unchanged", "unknown": who an end is, nobody knows
  std::uint64_t connections = 0;
  PolicySideCheck before, after;  // of the end that decides
};

struct PolicySimulation {
  struct Total {
    std::uint64_t pairs = 0, connections = 0;
  };
  std::map<std::string, Total> totals;  // by change
  std::vector<SimulatedPair> pairs;     // but the unchanged ones; those with most connections first
  std::vector<std::string> remarks;     // what of the policies means less than it says
};

// Who workloads are to policy; several pods may be one.
struct IdentityRow {
  std::uint64_t number = 0;
  std::string kind;    // "workload", "unmanaged", "host", "node", "world", "unknown", "ambiguous", "closed"
  std::string name;    // as PolicyCheck's
  std::string spiffe;  // of a workload
  std::map<std::string, std::string> labels;  // only those with keys that policies name
  std::vector<std::string> pods;              // "shop/web-0"
  std::vector<std::string> addresses;
  std::vector<std::string> policies;  // that select it, in one direction or the other
};

struct IdentityList {
  struct Table {
    std::string name;
    std::uint64_t entries = 0, max_entries = 0;
  };
  std::vector<IdentityRow> identities;
  std::vector<Table> tables;  // empty: no policy has come, and nobody is told apart
};

using Flows = std::vector<std::shared_ptr<const model::Flow>>;

// Thread-safe.
class PolicyView {
 public:
  virtual ~PolicyView() = default;
  [[nodiscard]] virtual PolicyList policies() const = 0;
  [[nodiscard]] virtual Answer<PolicyCheck> check(const PolicyQuery& query) const = 0;
  [[nodiscard]] virtual IdentityList identities() const = 0;
  // These documents in place of those of the same names, and beside the others, against connections that there were.
  // Nothing is changed.
  [[nodiscard]] virtual Answer<PolicySimulation> simulate_policies(const std::string& documents,
                                                                   const Flows& flows) const = 0;
};

}  // namespace cortexflow::control
