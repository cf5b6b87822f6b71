// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/completion_table.h"

namespace cortexflow::cli {

// A script for "bash", "zsh" or "fish".  All three go through the words before the cursor in the same way: a value of
// an option is passed over, a command's name leads one level down.
[[nodiscard]] std::string completion_script(const CompletionTable& table, const std::string& shell);

}  // namespace cortexflow::cli
