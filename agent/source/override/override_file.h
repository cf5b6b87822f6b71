// SPDX-License-Identifier: Apache-2.0
// The operator's overrides of services in a file, as JSON:
//
//   {"version": 1, "services": {"shop/cart": {
//      "subset_weights": {"stable": 0, "canary": 100},
//      "backend_weights": {"10.200.2.1:8080": 5},
//      "drained": ["10.200.2.2:8080"]}}}
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/service_override.h"

namespace cortexflow::source {

// The error says what was expected, and where.
[[nodiscard]] Result<model::ServiceOverrides> parse_overrides(std::string_view text);
[[nodiscard]] std::string overrides_text(const model::ServiceOverrides& overrides);

// None where there is no file.
[[nodiscard]] Result<model::ServiceOverrides> read_overrides(const std::string& path);

}  // namespace cortexflow::source
