// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/result.h"
#include "cli/commands.h"

namespace cortexflow::cli {

// "cart" is "default/cart".
[[nodiscard]] std::string full_name(const std::string& name);

// {"services": [...]}: every port of that service, or of all where `name` is empty; what of the manifests is not used
// is said on standard error.
[[nodiscard]] Result<nlohmann::ordered_json> services_named(const Context& context, const std::string& name);

}  // namespace cortexflow::cli
