// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/client.h"

namespace cortexflow::cli {

// --name, --type and the other filters, and --not, which turns those behind it round.  Gives the agent's query
// parameters once `command` is parsed; a bad value is refused there, by the flag's name.
[[nodiscard]] std::shared_ptr<const Client::Parameters> add_lookup_filters(CLI::App& command);
[[nodiscard]] std::shared_ptr<const Client::Parameters> add_flow_filters(CLI::App& command);

// --since; refused where the agent would refuse it.
CLI::Option* add_since_flag(CLI::App& command, std::string& since, const std::string& help);

}  // namespace cortexflow::cli
