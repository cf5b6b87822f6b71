// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/base/result.h"

namespace cortexflow::cli {

// "-": standard input.
[[nodiscard]] Result<std::string> read_policy_file(const std::string& path);

}  // namespace cortexflow::cli
