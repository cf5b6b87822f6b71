// SPDX-License-Identifier: Apache-2.0
// What an operator may do about policies while they are enforced.
#pragma once

#include <string>
#include <vector>

#include "agent/control/policy_view.h"

namespace cortexflow::control {

struct PolicyChange {
  std::string kind, name;  // "AuthorizationPolicy", "shop/allow-web"
  std::string change;      // "created", "configured", "unchanged", "deleted"
};

struct PolicyChanges {
  std::vector<PolicyChange> changes;
  bool dry_run = false;              // nothing was changed
  std::string problem;               // why the kernel doesn't enforce them yet, though they are kept; empty: it does
  std::vector<std::string> remarks;  // what of them means less than it says
};

// Thread-safe; an answer without a problem means that it is on disk and in the kernel.
class PolicyOperator : public PolicyView {
 public:
  // All of these documents, or none.
  [[nodiscard]] virtual Answer<PolicyChanges> apply_policies(const std::string& documents, bool dry_run) = 0;
  // The operator's alone.  `kind` may be empty where the name has one kind.
  [[nodiscard]] virtual Answer<PolicyChanges> delete_policy(const std::string& kind, const std::string& name) = 0;
};

}  // namespace cortexflow::control
