// SPDX-License-Identifier: Apache-2.0
// cfagent --remove: takes out of the kernel what an agent that is gone left there.
#pragma once

#include <string>

#include "agent/base/result.h"

namespace cortexflow {

// Detaches and unpins all below `pin_path`, and removes it.  The caller holds its lock.
[[nodiscard]] Result<void> remove_left(const std::string& pin_path);

}  // namespace cortexflow
