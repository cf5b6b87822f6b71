// SPDX-License-Identifier: Apache-2.0
// How the kernel comes to see a caller's calls.
#pragma once

#include <string>
#include <vector>

#include "agent/caller.h"
#include "agent/control/explanation.h"
#include "agent/kernel/redirect.h"
#include "agent/kernel/service_tables.h"

namespace cortexflow {

struct CallerWay {
  enum class By {
    kSockets,  // connect-time hooks
    kPackets,  // bpf/mesh/redirect, at an interface
    kNobody,   // its calls go to services' addresses as they are
  };
  By by = By::kNobody;
  std::vector<control::ExplainStep> steps;
};

// `redirect`: null where no interface is served.
[[nodiscard]] CallerWay way_of(const FoundCaller& caller, const kernel::ServiceTables& tables,
                               const kernel::Redirect* redirect, const std::string& cgroup_root);

}  // namespace cortexflow
