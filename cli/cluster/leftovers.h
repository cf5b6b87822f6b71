// SPDX-License-Identifier: Apache-2.0
// What of a release is still in a cluster.
#pragma once

#include "cli/cluster/preflight.h"

namespace cortexflow::cli {

struct Leftovers {
  std::vector<std::string> kept;   // on purpose: CRDs with policies, the authority
  std::vector<std::string> stray;  // what the uninstall should have taken along, or what could not be looked at
};

[[nodiscard]] Leftovers leftovers(ApiServer& server, const Release& release);
// All of cortexflow.io, with every policy in them.
[[nodiscard]] Result<void> remove_crds(ApiServer& server);

}  // namespace cortexflow::cli
