// SPDX-License-Identifier: Apache-2.0
// JSON as the tree that the manifests' readers take; every value is on line 1.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "agent/source/manifest/value.h"

namespace cortexflow::source {

[[nodiscard]] Value value_of(const nlohmann::json& json);

}  // namespace cortexflow::source
