// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/model/workload.h"

namespace cortexflow::control {

// Is it what the user calls so: its name, pod or NAMESPACE/POD (globs), pod uid, or 12 and more digits of its container
// id?
[[nodiscard]] bool is_called(const model::Workload& workload, const std::string& name);

}  // namespace cortexflow::control
