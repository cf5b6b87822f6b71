// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace cortexflow::cli {

// A completion script for "bash", "zsh" or "fish", made from the commands and flags that `app` has.
[[nodiscard]] std::string completion(const CLI::App& app, const std::string& shell);

}  // namespace cortexflow::cli
