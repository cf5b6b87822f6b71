// SPDX-License-Identifier: Apache-2.0
#include "identity/mapping.h"

#include <algorithm>

namespace cortexflow::identity {
namespace {

bool lies_in(const std::string& cgroup, const std::string& above) {
  return cgroup == above || (cgroup.starts_with(above) && cgroup.size() > above.size() && cgroup[above.size()] == '/');
}

bool holds_for(const WorkloadRule& rule, const Caller& caller) {
  return (!rule.uid || *rule.uid == caller.uid) && (!rule.gid || *rule.gid == caller.gid) &&
         (!rule.cgroup || lies_in(caller.cgroup, *rule.cgroup));
}

}  // namespace

std::vector<WorkloadRule> Mapping::of(const Caller& caller) const {
  std::vector<WorkloadRule> out;
  for (const auto& rule : rules_) {
    if (!holds_for(rule, caller)) continue;
    const bool there =
        std::any_of(out.begin(), out.end(), [&](const WorkloadRule& other) { return other.id == rule.id; });
    if (!there) out.push_back(rule);
  }
  return out;
}

}  // namespace cortexflow::identity
