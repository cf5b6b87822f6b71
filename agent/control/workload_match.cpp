// SPDX-License-Identifier: Apache-2.0
#include "agent/control/workload_match.h"

#include <fnmatch.h>

namespace cortexflow::control {

bool is_called(const model::Workload& workload, const std::string& name) {
  constexpr std::size_t kIdDigits = 12;
  const auto matches = [&name](const std::string& text) {
    return fnmatch(name.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
  };
  if (matches(workload.name) || workload.pod_uid == name) return true;
  if (!workload.pod.empty() && (matches(workload.pod) || matches(workload.ns + "/" + workload.pod))) return true;
  return !workload.container_id.empty() && name.size() >= kIdDigits && workload.container_id.starts_with(name);
}

}  // namespace cortexflow::control
