// SPDX-License-Identifier: Apache-2.0
// Who may call whom, and what the kernel would say to a connection.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/control/service_operator.h"

namespace cortexflow::control {

struct PolicyRow {
  std::string name;    // "shop/allow-web"
  std::string action;  // "ALLOW", "DENY", "AUDIT"
  std::string mode;    // "enforce", "audit"
  std::uint64_t rules = 0;
  std::uint64_t workloads = 0;  // pods that it selects
  std::uint64_t hits = 0;       // times that a rule of it decided or, AUDIT, matched
};

struct PolicyList {
  std::vector<PolicyRow> policies;
  std::string hook;     // where they are enforced; empty: nowhere
  std::string problem;  // what is not as the policies say; empty: nothing
};

struct PolicyQuery {
  std::string from;  // "NAMESPACE/POD", or an address
  std::string to;    // likewise, of a workload
  std::uint16_t port = 0;
  bool udp = false;
};

struct PolicyCheck {
  std::string verdict;  // "not_allowed", as in the metrics
  bool refused = false;
  std::string rule;                   // "shop/allow-web[0]" that decided; empty: none did
  std::string audited;                // an AUDIT rule that matches; empty: none
  std::string from, to;               // who they are: "shop/web app=web", "world"
  std::vector<std::string> policies;  // that select the workload
};

// Thread-safe.
class PolicyView {
 public:
  virtual ~PolicyView() = default;
  [[nodiscard]] virtual PolicyList policies() const = 0;
  [[nodiscard]] virtual Answer<PolicyCheck> check(const PolicyQuery& query) const = 0;
};

}  // namespace cortexflow::control
