// SPDX-License-Identifier: Apache-2.0
// What an agent that is gone left in the kernel: seen, and taken out by cfagent --remove.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/control/node_view.h"

namespace cortexflow {

// Detaches and unpins what an agent made below `pin_path`, and removes that directory where nothing else is in it.
// Answers the names of what is others', which stays.  The caller holds its lock.
[[nodiscard]] Result<std::vector<std::string>> remove_left(const std::string& pin_path);

// What works on below `pin_path` though this agent is told of no services.
[[nodiscard]] std::vector<control::FunctionStatus> left_functions(const std::string& pin_path);

}  // namespace cortexflow
