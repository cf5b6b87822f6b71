// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/commands.h"

namespace cortexflow::cli {

// A row a node: its agent's version, configuration, what is degraded; why it does not answer.  An error, after they are
// shown, where an agent does not answer.
[[nodiscard]] Result<void> show_cluster_status(const Context& context);

// The functions that an agent's status calls degraded: "NAME (WHY); ..."
[[nodiscard]] std::string degraded_words(const nlohmann::ordered_json& status);

}  // namespace cortexflow::cli
