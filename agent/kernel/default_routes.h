// SPDX-License-Identifier: Apache-2.0
// The interfaces by which this network namespace reaches everything that it has no other way to.
#pragma once

#include <set>
#include <string>

#include "agent/base/result.h"

namespace cortexflow::kernel {

// Those of the main table's default routes, of both families; of routes with several next hops all.
[[nodiscard]] Result<std::set<std::string>> default_route_interfaces();

}  // namespace cortexflow::kernel
