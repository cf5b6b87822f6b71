// SPDX-License-Identifier: Apache-2.0
// The control API's JSON.  Keys are snake_case; times are RFC 3339 UTC with nanoseconds; durations integer nanoseconds.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/control/node_view.h"

namespace cortexflow::control {

[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point time);
[[nodiscard]] std::string_view outcome_name(model::DnsOutcome outcome);

[[nodiscard]] nlohmann::ordered_json to_json(const model::DnsLookup& lookup);
[[nodiscard]] nlohmann::ordered_json to_json(const Status& status);
[[nodiscard]] nlohmann::ordered_json to_json(const BpfProgram& program);
[[nodiscard]] nlohmann::ordered_json to_json(const WorkloadRow& row);

}  // namespace cortexflow::control
