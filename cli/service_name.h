// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/result.h"
#include "cli/commands.h"

namespace cortexflow::cli {

// "cart" is "default/cart".
[[nodiscard]] std::string full_name(const std::string& name);

struct Services {
  // {"services": [...]}: every port of that service, or of all where `name` is empty; of a cluster without --node, as
  // all of its nodes have it.
  nlohmann::ordered_json document;
  Result<void> complete;  // an error where a node did not answer: the command's, once it has shown what there is
};
// What of the manifests is not used is said on standard error.
[[nodiscard]] Result<Services> services_named(const Context& context, const std::string& name);

}  // namespace cortexflow::cli
