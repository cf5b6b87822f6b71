// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace cortexflow::source {

// What a program prints to its standard output, if it ends well in time; what it prints to standard error goes where
// this process's does.  One that takes longer, or prints more, is killed.
[[nodiscard]] Result<std::string> child_output(const std::vector<std::string>& command,
                                               const std::vector<std::pair<std::string, std::string>>& environment,
                                               std::chrono::seconds time_max, std::size_t octets_max);

}  // namespace cortexflow::source
